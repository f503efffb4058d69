;; For an unknown version the error names the versions that run.
;; CREATE: wasi:cli/run@0.4.0
;; CREATE: build it for WASI 0.3 or 0.2
(component
  (import "wasi:cli/types@0.4.0" (instance))
  (instance $run)
  (export "wasi:cli/run@0.4.0" (instance $run)))
