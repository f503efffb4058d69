;; A policy that lacks a function of the ABI is rejected, and the error says so.
;; RUN: a/b
;; STDIN: {}
;; EXIT: 1
;; STDERR: it is no policy as OPA compiles them: it lacks a function of the ABI
(module
  (import "env" "memory" (memory 2))
  (global (export "opa_wasm_abi_version") i32 (i32.const 1))
  (func (export "opa_eval") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0)))
