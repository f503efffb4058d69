;; What one call brings to the host is bounded: more than a stream takes at once is a trap, and no second copy of it.
;; MEMORY: 32 MiB
;; EXIT: 134
;; STDERR: fuel allocated for hostcalls has been exhausted
(component
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $failed))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $stream (sub resource)))
    (alias outer 1 $failed (type $failed))
    (export "error" (type $error (eq $failed)))
    (type $wrong (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $wrong)))
    (export "[method]output-stream.write"
      (func (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $stream))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $stream (type $stream))
    (export "output-stream" (type $output (eq $stream)))
    (export "get-stdout" (func (result (own $output))))))
  (core module $memory (memory (export "memory") 384))
  (core instance $memory (instantiate $memory))
  (core func $get (canon lower (func $stdout "get-stdout")))
  (core func $write
    (canon lower (func $streams "[method]output-stream.write") (memory (core memory $memory "memory"))))
  (core module $module
    (import "" "get" (func $get (result i32)))
    (import "" "write" (func $write (param i32 i32 i32 i32)))
    (func (export "run") (result i32)
      (call $write (call $get) (i32.const 64) (i32.const 20000000) (i32.const 0))
      (i32.const 0)))
  (core instance $instance (instantiate $module
    (with "" (instance (export "get" (func $get)) (export "write" (func $write))))))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
