package guest

import (
	"runtime/debug"
	"unsafe"

	"lantern.dev/sdk-go/internal/frame"
)

// A batch's frame is most of what is allocated, and nothing of it is left after the batch: collecting less often costs little
// memory and saves half of the collector's time.
const collectAtPercent = 400

func init() {
	debug.SetGCPercent(collectAtPercent)
}

// Memory that the host has asked for and that nobody has taken yet. It must be referred to, or the collector takes it.
var given []([]byte)

// The host asks by it for memory to put a list into.
//
//go:wasmexport cabi_realloc
func cabiRealloc(old, oldSize, align, size uint32) uint32 {
	if size == 0 {
		return align
	}
	block := make([]byte, size)
	if oldSize > 0 {
		copy(block, Take(old, oldSize))
	}
	given = append(given, block)
	return address(unsafe.Pointer(unsafe.SliceData(block)))
}

// Take is a list that the host has put into memory. It is the taker's alone.
func Take(at, size uint32) []byte {
	if size == 0 {
		return []byte{}
	}
	for nth, block := range given {
		if address(unsafe.Pointer(unsafe.SliceData(block))) == at && uint32(len(block)) >= size {
			last := len(given) - 1
			given[nth], given[last] = given[last], nil
			given = given[:last]
			return block[:size]
		}
	}
	// The host puts lists nowhere else.
	panic("the host has given a list in memory that it has not asked for")
}

func takeText(at, size uint32) string { return frame.Text(Take(at, size)) }

// address is a place of the plugin's memory as the host names it. The collector moves nothing.
func address(p unsafe.Pointer) uint32 { return uint32(uintptr(p)) }

// What was answered last, and all that it points to. The host reads it before it calls again.
var (
	answer [9]uint32
	kept   [4][]byte
)

// The first words of an answer: whether it is a result or a failure.
const (
	isOk  = 0
	isErr = 1
)

// Answer is where the words are that were answered.
func Answer(words ...uint32) uint32 {
	copy(answer[:], words)
	return address(unsafe.Pointer(&answer))
}

// Keep is the address and the length of bytes, which live until the next answer keeps others in their place.
func Keep(nth int, bytes []byte) (at, size uint32) {
	kept[nth] = bytes
	if len(bytes) == 0 {
		return 1, 0
	}
	return address(unsafe.Pointer(unsafe.SliceData(bytes))), uint32(len(bytes))
}
