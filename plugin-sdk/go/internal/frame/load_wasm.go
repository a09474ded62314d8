package frame

import "unsafe"

// WebAssembly reads numbers of any size at any address, least byte first, as a frame has them; the compiler does not
// put the loads of single bytes together there.

func u32(b []byte, at int) uint32 {
	return *(*uint32)(unsafe.Pointer(&b[at : at+4][0]))
}

func i64(b []byte, at int) int64 {
	return *(*int64)(unsafe.Pointer(&b[at : at+8][0]))
}

func putU32(b []byte, at int, n uint32) {
	*(*uint32)(unsafe.Pointer(&b[at : at+4][0])) = n
}

func putI64(b []byte, at int, n int64) {
	*(*int64)(unsafe.Pointer(&b[at : at+8][0])) = n
}

// Word is eight bytes as a number.
func Word(b []byte, at int) uint64 { return uint64(i64(b, at)) }
