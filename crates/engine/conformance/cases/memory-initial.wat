;; An initial memory beyond the container's limit fails Create, and the error states its size.
;; MEMORY: 32 MiB
;; CREATE: 67108864 bytes
;; CREATE: limit
(module
  (memory (export "memory") 1024)
  (func (export "_start")))
