;; A named function must not have parameters: there are no arguments for them.
;; ENTRY: /cases/func-parameters.wasm#add
;; CREATE: add
;; CREATE: parameter
(module
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
