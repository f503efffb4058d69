;; The handles of a component are bounded by its memory's limit: making ever more of them is a trap.
;; MEMORY: 32 MiB
;; EXIT: 134
;; STDERR: handle
(component
  (type $thing (resource (rep i32)))
  (core func $new (canon resource.new $thing))
  (core module $module
    (import "" "new" (func $new (param i32) (result i32)))
    (func (export "run") (result i32) (local $left i32)
      (local.set $left (i32.const 20000))
      (loop $more
        (drop (call $new (local.get $left)))
        (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (i32.const 0)))
  (core instance $instance (instantiate $module (with "" (instance (export "new" (func $new))))))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
