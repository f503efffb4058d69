;; A policy that traps ends as any guest that does, with its backtrace.
;; RUN: a/b
;; STDIN: {}
;; EXIT: 134
;; STDERR: unreachable
(module
  (import "env" "memory" (memory 2))
  (global (export "opa_wasm_abi_version") i32 (i32.const 1))
  (func (export "entrypoints") (result i32) unreachable)
  (func (export "opa_eval") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0)))
