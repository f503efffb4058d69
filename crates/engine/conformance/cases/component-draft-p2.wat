;; A draft of WASI 0.2 is refused by its name.
;; CREATE: wasi:cli/run@0.2.0-rc-2023-11-10, which is a draft
(component
  (core module $m (func (export "f") (result i32) i32.const 0))
  (core instance $i (instantiate $m))
  (func $f (result (result)) (canon lift (core func $i "f")))
  (instance $h (export "run" (func $f)))
  (export "wasi:cli/run@0.2.0-rc-2023-11-10" (instance $h)))
