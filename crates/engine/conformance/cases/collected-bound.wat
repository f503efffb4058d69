;; Collected objects count against the container's limit beside the memory: what does not fit is a trap that says so.
;; MEMORY: 32 MiB
;; EXIT: 134
;; STDERR: GC heap out of memory
(module
  (type $numbers (array (mut i64)))
  (memory (export "memory") 464) ;; 29 MiB
  (func (export "_start")
    (drop (array.new_default $numbers (i32.const 16)))
    (drop (array.new_default $numbers (i32.const 500000)))))
