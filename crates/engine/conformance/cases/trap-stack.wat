;; Recursion without end is a trap of the guest, never a crash of the host.
;; EXIT: 134
;; STDERR: call stack exhausted
;; STDERR: forever
(module
  (memory (export "memory") 1)
  (func (export "_start") (drop (call $forever (i32.const 0))))
  ;; What each call leaves behind is read after the next: no compiler makes a loop of it.
  (func $forever (param $depth i32) (result i32) (local $place i32)
    (local.set $place (i32.and (local.get $depth) (i32.const 65532)))
    (i32.store (local.get $place) (local.get $depth))
    (i32.add
      (i32.mul (call $forever (i32.add (local.get $depth) (i32.const 4))) (i32.const 3))
      (i32.load (local.get $place)))))
