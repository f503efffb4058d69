;; A component that exports wasi:cli/run is a command, however small: `ok` is exit code 0.
;; EXIT: 0
(component
  (core module $module
    (func (export "run") (result i32) (i32.const 0))) ;; ok
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
