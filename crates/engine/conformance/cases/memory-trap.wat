;; If a guest traps because its limit refused it memory, the message reports both.
;; MEMORY: 32 MiB
;; EXIT: 134
;; STDERR: the container's limit leaves its guest
;; STDERR: unreachable
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (if (i32.eq (memory.grow (i32.const 4096)) (i32.const -1)) ;; 256 MiB more
      (then (unreachable)))))
