;; A trap inside a component ends the task with 134, and stderr shows what happened and where.
;; EXIT: 134
;; STDERR: unreachable
;; STDERR: deep_inside
(component
  (core module $module
    (func (export "run") (result i32) (call $deep_inside) (i32.const 0))
    (func $deep_inside (unreachable)))
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
