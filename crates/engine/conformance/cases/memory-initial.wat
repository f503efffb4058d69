;; A memory that is beyond the container's limit from its start fails Create, and the error tells how large it is.
;; MEMORY: 32 MiB
;; CREATE: 67108864 bytes
;; CREATE: limit
(module
  (memory (export "memory") 1024)
  (func (export "_start")))
