package lantern

//go:wasmimport lantern:plugin/logger@0.1.0 write
func write(level uint32, message string)
