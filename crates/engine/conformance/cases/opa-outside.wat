;; What claims to be a policy and names an address outside of its memory ends, and nothing outside is read.
;; RUN: a/b
;; STDIN: {}
;; EXIT: 1
;; STDERR: it is no policy as OPA compiles them: an address is outside of the guest's memory
(module
  (import "env" "memory" (memory 2))
  (global (export "opa_wasm_abi_version") i32 (i32.const 1))
  (func (export "entrypoints") (result i32) (i32.const 0))
  (func (export "builtins") (result i32) (i32.const 0))
  (func (export "opa_json_dump") (param i32) (result i32) (i32.const -4))
  (func (export "opa_eval") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const -1)))
