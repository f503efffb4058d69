;; Commands of WASI 0.3 are no world of ours; the sentence names what would be.
;; CREATE: wasi:cli/run@0.3.0
;; CREATE: wasi:http/handler@0.3.0
;; CREATE: WASI 0.2
(component
  (import "wasi:cli/types@0.3.0" (instance))
  (instance $run)
  (export "wasi:cli/run@0.3.0" (instance $run)))
