;; A _start with parameters is no command.
;; CREATE: _start
;; CREATE: parameter
(module
  (func (export "_start") (param i32)))
