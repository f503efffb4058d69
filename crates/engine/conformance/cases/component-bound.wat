;; The instances of a component are bounded together: two memories that would fit alone do not begin.
;; MEMORY: 32 MiB
;; EXIT: 134
;; STDERR: exceeds memory limits
(component
  (core module $module
    (memory (export "memory") 272) ;; 17 MiB
    (func (export "run") (result i32) (i32.const 0)))
  (core instance (instantiate $module))
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
