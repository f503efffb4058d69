;; A guest has one thread.
;; CREATE: a memory that threads share
(module (memory (export "memory") 1 1 shared) (func (export "_start")))
