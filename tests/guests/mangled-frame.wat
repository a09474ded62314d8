;; Loads and describes itself well, and answers a batch with bytes that are no frame.
(module
  (memory (export "memory") 2)
  (data (i32.const 1024) "MANIFEST")
  (data (i32.const 80) "these bytes are no frame of writes")
  (data (i32.const 128) "\00\00\00\00" "\50\00\00\00" "\22\00\00\00") ;; ok: 34 bytes at 80

  ;; Every argument is put over the one before, from the second page on.
  (func (export "cabi_realloc") (param i32 i32 i32) (param $bytes i32) (result i32)
    (drop (memory.grow (i32.shr_u (local.get $bytes) (i32.const 16))))
    (i32.const 65536))

  (func (export "lantern:plugin/meta@0.1.0#describe") (result i32)
    (i32.store (i32.const 64) (i32.const 1024))
    (i32.store (i32.const 68) (i32.const MANIFEST_BYTES))
    (i32.const 64))

  (func (export "lantern:plugin/projection@0.1.0#apply") (param i32 i32) (result i32)
    (i32.const 128)))
