;; A component without wasi:cli/run needs an entrypoint that names a function.
;; The error lists what there is.
;; CREATE: wasi:cli/run
;; CREATE: only-this
(component
  (core module $module (func (export "only-this")))
  (core instance $instance (instantiate $module))
  (func (export "only-this") (canon lift (core func $instance "only-this"))))
