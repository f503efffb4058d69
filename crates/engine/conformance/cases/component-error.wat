;; A command component whose run answers `err` ends the task with 1.
;; EXIT: 1
(component
  (core module $module
    (func (export "run") (result i32) (i32.const 1))) ;; err
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
