;; Preview 0 is named, and what to build for.
;; CREATE: wasi_unstable
;; CREATE: wasm32-wasip1
(module (import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32))) (memory (export "memory") 1) (func (export "_start")))
