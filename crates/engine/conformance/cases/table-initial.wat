;; An initial table that exceeds the container's limit together with the memory fails Create; the error has both sizes.
;; MEMORY: 32 MiB
;; CREATE: 25165824 bytes
;; CREATE: 1000000 elements
;; CREATE: limit
(module
  (memory (export "memory") 384)
  (table 1000000 funcref)
  (func (export "_start")))
