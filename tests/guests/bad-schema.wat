;; Its manifest is well formed, and has a schema that SQLite does not understand.
(module
  (memory (export "memory") 2)
  (data (i32.const 1024) "MANIFEST")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
  (func (export "lantern:plugin/meta@0.1.0#describe") (result i32)
    (i32.store (i32.const 64) (i32.const 1024))
    (i32.store (i32.const 68) (i32.const MANIFEST_BYTES))
    (i32.const 64))
  (func (export "lantern:plugin/projection@0.1.0#apply") (param i32 i32) (result i32) (unreachable)))
