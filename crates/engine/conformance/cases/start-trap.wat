;; A start section that traps is the guest's failure, 134, and not one of Create.
;; EXIT: 134
;; STDERR: unreachable
;; STDERR: at_once
(module
  (start $at_once)
  (func $at_once (unreachable))
  (func (export "_start")))
