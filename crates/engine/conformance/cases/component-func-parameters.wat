;; A named function of a component must not have parameters either.
;; ENTRY: /cases/component-func-parameters.wasm#twice
;; CREATE: twice
;; CREATE: parameter
(component
  (core module $module
    (func (export "twice") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1))))
  (core instance $instance (instantiate $module))
  (func (export "twice") (param "number" u32) (result u32)
    (canon lift (core func $instance "twice"))))
