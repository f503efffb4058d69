;; A named function may have results. They are dropped: only an exit ends with another code than 0.
;; ENTRY: /cases/func-result.wasm#answer
;; EXIT: 0
(module
  (func (export "answer") (result i32 i64) (i32.const 42) (i64.const 42)))
