;; A controller of the contract 0.2.0. `kept.rs` adds imports of all functions of the contract, under the names that the
;; calls below use, and makes the module a component.
;;
;; GET responds with the number of rows of the table `marks` as JSON. POST adds its body as a row and responds with it.

(memory (export "memory") 1)
;; Strings and buffers: 0 the response, 128 the result of a call, 256 a parameter.
(data (i32.const 1024) "SELECT count(*) AS n FROM marks")
(data (i32.const 1088) "INSERT INTO marks VALUES (?)")
(data (i32.const 1152) "a statement failed")

;; A heap that only grows.
(global $heap (mut i32) (i32.const 4096))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (local.get $at))

;; ok(response): the status, no headers, and a body of the case `$case`.
(func $ok (param $status i32) (param $case i32) (param $text i32) (param $length i32) (result i32)
    (i32.store16 (i32.const 4) (local.get $status))
    (i32.store8 (i32.const 16) (local.get $case))
    (i32.store (i32.const 20) (local.get $text))
    (i32.store (i32.const 24) (local.get $length))
    (i32.const 0))

;; err("a statement failed")
(func $err (result i32)
    (i32.store8 (i32.const 0) (i32.const 1))
    (i32.store (i32.const 4) (i32.const 1152))
    (i32.store (i32.const 8) (i32.const 18))
    (i32.const 0))

(func (export "carya:host/read-controller@0.2.0#read") (param $db i32) (result i32)
    (call $"database.[method]reader.query-one-json"
        (local.get $db) (i32.const 1024) (i32.const 31) (i32.const 0) (i32.const 0) (i32.const 128))
    (call $"database.[resource-drop]reader" (local.get $db))
    (if (i32.load8_u (i32.const 128)) (then (return (call $err))))
    ;; The case `json` with the text of `some`.
    (call $ok (i32.const 200) (i32.const 2) (i32.load (i32.const 136)) (i32.load (i32.const 140))))

(func (export "carya:host/write-controller@0.2.0#write") (param $db i32) (result i32)
    (call $"request.body" (i32.const 128))
    ;; One parameter: the case `text`.
    (i32.store8 (i32.const 256) (i32.const 4))
    (i32.store (i32.const 264) (i32.load (i32.const 128)))
    (i32.store (i32.const 268) (i32.load (i32.const 132)))
    (call $"database.[method]writer.execute"
        (local.get $db) (i32.const 1088) (i32.const 28) (i32.const 256) (i32.const 1) (i32.const 128))
    (call $"database.[resource-drop]writer" (local.get $db))
    (if (i32.load8_u (i32.const 128)) (then (return (call $err))))
    ;; The case `text` with the body.
    (call $ok (i32.const 201) (i32.const 1) (i32.load (i32.const 264)) (i32.load (i32.const 268))))
