;; A command whose start is of another type than WASI says is refused.
;; CREATE: wasi:cli/run@0.2.0
;; CREATE: of the type `func() -> result`
(component
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func $f (canon lift (core func $i "f")))
  (instance $h (export "run" (func $f)))
  (export "wasi:cli/run@0.2.0" (instance $h)))
