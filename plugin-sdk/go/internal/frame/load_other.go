//go:build !wasm

package frame

import "encoding/binary"

func u32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }

func i64(b []byte, at int) int64 { return int64(binary.LittleEndian.Uint64(b[at:])) }

func putU32(b []byte, at int, n uint32) { binary.LittleEndian.PutUint32(b[at:], n) }

func putI64(b []byte, at int, n int64) { binary.LittleEndian.PutUint64(b[at:], uint64(n)) }

// Word is eight bytes as a number.
func Word(b []byte, at int) uint64 { return uint64(i64(b, at)) }
