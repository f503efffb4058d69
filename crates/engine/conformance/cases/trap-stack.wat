;; Recursion without end is a trap of the guest, never a crash of the host.
;; EXIT: 134
;; STDERR: call stack exhausted
;; STDERR: forever
(module
  (func (export "_start") (drop (call $forever (i32.const 0))))
  (func $forever (param i32) (result i32)
    (i32.add (call $forever (i32.add (local.get 0) (i32.const 1))) (i32.const 1))))
