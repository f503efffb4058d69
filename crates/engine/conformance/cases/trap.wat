;; A trap ends the task with 134, and stderr shows what happened and where.
;; EXIT: 134
;; STDERR: unreachable
;; STDERR: deep_inside
(module
  (func (export "_start") (call $deep_inside))
  (func $deep_inside (unreachable)))
