;; A command of WASI 0.3: its start is an asynchronous function, and its result the exit code.
;; EXIT: 1
(component
  (import "wasi:cli/types@0.3.0" (instance))
  (core module $module
    (func (export "run") (result i32) (i32.const 1))) ;; an error
  (core instance $instance (instantiate $module))
  (func $run async (result (result)) (canon lift (core func $instance "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.3.0" (instance $cli)))
