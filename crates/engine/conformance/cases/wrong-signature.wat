;; An import of another type than preview 1 gives it is refused.
;; CREATE: wasi_snapshot_preview1::fd_write
(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32) (result i32))) (memory (export "memory") 1) (func (export "_start")))
