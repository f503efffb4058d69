;; A component that imports and exports WASI 0.2 only may have its code tied to that by the asynchronous ABI.
;; EXIT: 0
(component
  (core func $cancel (canon task.cancel))
  (core func $yield (canon thread.yield))
  (core module $module
    (import "task" "cancel" (func $cancel))
    (import "task" "yield" (func $yield (result i32)))
    (func (export "run") (result i32) (call $yield)))
  (core instance $instance (instantiate $module
    (with "task" (instance (export "cancel" (func $cancel)) (export "yield" (func $yield))))))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
