;; A module without _start needs an entrypoint that names a function. The error lists what there is.
;; CREATE: only_this
(module
  (func (export "only_this")))
