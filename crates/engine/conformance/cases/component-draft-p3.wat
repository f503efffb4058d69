;; No draft of WASI 0.3 speaks as 0.3.0 does.
;; CREATE: wasi:http/handler@0.3.0-rc-2026-01-06
;; CREATE: draft
;; CREATE: WASI 0.2
(component
  (import "wasi:http/types@0.3.0-rc-2026-01-06" (instance))
  (instance $answers)
  (export "wasi:http/handler@0.3.0-rc-2026-01-06" (instance $answers)))
