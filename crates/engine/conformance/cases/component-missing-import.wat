;; An interface that no world offers fails Create, and the error names it.
;; CREATE: lighter:nowhere/nothing@1.0.0
(component
  (import "lighter:nowhere/nothing@1.0.0" (instance $nothing (export "nothing" (func))))
  (core module $module
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
