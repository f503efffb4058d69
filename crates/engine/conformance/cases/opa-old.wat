;; A policy of before the ABI's version 1.2 is refused with what to do.
;; CREATE: it is a policy that OPA older than 0.28 compiled; compile it with a later one
(module
  (import "env" "memory" (memory 2))
  (global (export "opa_wasm_abi_version") i32 (i32.const 1))
  (func (export "eval") (param i32) (result i32) (i32.const 0)))
