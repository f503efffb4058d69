;; An entrypoint that names a function which the module does not export fails Create.
;; ENTRY: /cases/func-unknown.wasm#nosuch
;; CREATE: nosuch
(module
  (func (export "_start")))
