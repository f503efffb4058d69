;; A module needs no import and no memory to be a command: returning from _start is exit code 0.
;; EXIT: 0
(module
  (func (export "_start")))
