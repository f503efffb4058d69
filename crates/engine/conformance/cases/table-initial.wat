;; A table that is, with the memory, beyond the container's limit from its start fails Create, and the error tells both.
;; MEMORY: 32 MiB
;; CREATE: 25165824 bytes
;; CREATE: 1000000 elements
;; CREATE: limit
(module
  (memory (export "memory") 384)
  (table 1000000 funcref)
  (func (export "_start")))
