;; An entrypoint that names a function which the component does not export fails Create.
;; ENTRY: /cases/component-func-unknown.wasm#nosuch
;; CREATE: nosuch
(component
  (core module $module (func (export "only-this")))
  (core instance $instance (instantiate $module))
  (func (export "only-this") (canon lift (core func $instance "only-this"))))
