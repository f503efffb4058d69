;; A policy that imports what its world has not fails Create with its name.
;; CREATE: it imports env::other, which its world has not
(module
  (import "env" "memory" (memory 2))
  (import "env" "other" (func (param i32)))
  (global (export "opa_wasm_abi_version") i32 (i32.const 1))
  (func (export "opa_eval") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0)))
