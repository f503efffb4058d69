;; Names that everybody knows are found without a name server; `localhost` is 127.0.0.1 first.
;; A name may end with a zero.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "sock_getaddrinfo"
    (func $sock_getaddrinfo (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 8 hints, 36 where the first answer is, 40 how many, 64 and 96 answers, 48 and 224 their
  ;; addresses, 128 and 160 what those hold, 256 names.
  (data (i32.const 8) "\00\00\00\02") ;; streams of any family
  (data (i32.const 36) "\40\00\00\00")
  (data (i32.const 76) "\30\00\00\00") ;; the first's address, at 48
  (data (i32.const 88) "\60\00\00\00") ;; the second
  (data (i32.const 108) "\e0\00\00\00") ;; its address, at 224
  (data (i32.const 52) "\0e\00\00\00\80\00\00\00") ;; 14 bytes at 128
  (data (i32.const 228) "\1a\00\00\00\a0\00\00\00") ;; 26 bytes at 160
  (data (i32.const 256) "localhost\00")
  (data (i32.const 272) "10.2.3.4")
  (data (i32.const 288) "a..b")
  (data (i32.const 304) "8080\00")
  (func (export "_start")
    (call $same (i32.const 1) (call $look (i32.const 256) (i32.const 10)) (i32.const 0))
    (call $same (i32.const 2) (i32.load (i32.const 40)) (i32.const 2))
    ;; The port in network order, then the octets.
    (call $same (i32.const 3) (i32.load16_u (i32.const 128)) (i32.const 36895))
    (call $same (i32.const 4) (i32.load (i32.const 130)) (i32.const 16777343))
    (call $same (i32.const 5) (i32.load8_u (i32.const 66)) (i32.const 1)) ;; IPv4
    (call $same (i32.const 6) (i32.load8_u (i32.const 98)) (i32.const 2)) ;; and IPv6
    (call $same (i32.const 7) (call $look (i32.const 272) (i32.const 8)) (i32.const 0))
    (call $same (i32.const 8) (i32.load (i32.const 40)) (i32.const 1))
    (call $same (i32.const 9) (i32.load (i32.const 130)) (i32.const 67305994))
    (call $same (i32.const 10) (call $look (i32.const 288) (i32.const 4)) (i32.const 84)) ;; AINONAME
    (call $same (i32.const 11) (call $look (i32.const 65530) (i32.const 10)) (i32.const 21)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step)))))
  ;; Asks for a name and port 8080, of stream sockets.
  (func $look (param $name i32) (param $length i32) (result i32)
    (call $sock_getaddrinfo (local.get $name) (local.get $length) (i32.const 304) (i32.const 5)
      (i32.const 8) (i32.const 36) (i32.const 2) (i32.const 40))))
