;; Imports that no world offers fail Create, and the error lists them all.
;; CREATE: env::no_such_function
;; CREATE: nowhere::nothing
(module
  (import "env" "no_such_function" (func $no_such_function))
  (import "nowhere" "nothing" (global i32))
  (func (export "_start") (call $no_such_function)))
