package lantern

import (
	"math/bits"
	"unsafe"

	"lantern.dev/sdk-go/internal/frame"
)

func (c *cache) key(at int) []byte {
	e := &c.entries[at]
	return c.arena[e.keyPos : e.keyPos+e.keyLen]
}

// find is the entry of a key; -1 if there is none.
func (c *cache) find(key []any) (int, *Error) {
	start := len(c.arena)
	if err := c.appendKey(key); err != nil {
		return -1, err
	}
	at, _ := c.slotOf(hash(c.arena[start:]), start)
	c.arena = c.arena[:start]
	return at, nil
}

// known is the entry of a key that is one text or bytes; -1 if there is none, or the key is another. What is found has been
// checked.
func (c *cache) known(key []any) int {
	if len(key) != 1 || len(c.table.Key) != 1 {
		return -1
	}
	start := len(c.arena)
	switch part := key[0].(type) {
	case string:
		c.arena = frame.AppendText(c.arena, part)
	case []byte:
		if part == nil {
			return -1
		}
		c.arena = frame.AppendBlob(c.arena, part)
	default:
		return -1
	}
	at, _ := c.slotOf(hash(c.arena[start:]), start)
	c.arena = c.arena[:start]
	return at
}

// appendKey appends a key to the arena.
func (c *cache) appendKey(key []any) *Error {
	if len(key) != len(c.table.Key) {
		return failure(Other, "a key of %s has the parts %q; %d were given", c.table.Name, c.table.Key, len(key))
	}
	start := len(c.arena)
	for nth, part := range key {
		pos := len(c.arena)
		arena, err := appendValue(c.arena, part)
		if err == nil && (arena[pos] == frame.TagNull || arena[pos] == frame.TagReal) {
			// What is equal must be equal byte for byte, and NULL is equal to nothing.
			err = failure(Other, "%s of %s is a key: it can be a text, an integer or bytes, not a real and not NULL", c.table.Key[nth], c.table.Name)
		}
		if err != nil {
			c.arena = c.arena[:start]
			return err
		}
		c.arena = arena
	}
	return nil
}

// slotOf is the entry of the key that the arena has from `start` on, or else -1 and the free slot for it.
func (c *cache) slotOf(h uint32, start int) (at, slot int) {
	if len(c.slots) == 0 {
		return -1, 0
	}
	key, mask := c.arena[start:], len(c.slots)-1
	slot = firstSlot(h, len(c.slots))
	// Half of the slots are free, so this ends.
	for c.slots[slot] != 0 {
		at = int(c.slots[slot]) - 1
		if e := &c.entries[at]; e.hash == h && equal(c.arena[e.keyPos:e.keyPos+e.keyLen], key) {
			return at, slot
		}
		slot = (slot + 1) & mask
	}
	return -1, slot
}

func (c *cache) grow() {
	c.slots = make([]uint32, max(64, len(c.slots)*2))
	mask := len(c.slots) - 1
	for at := range c.entries {
		slot := firstSlot(c.entries[at].hash, len(c.slots))
		for c.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		c.slots[slot] = uint32(at) + 1
	}
}

// hash is by multiplication, eight bytes at a time. It needs no protection against chosen keys: a batch is bounded in size,
// and its time has a deadline.
func hash(key []byte) uint32 {
	const factor = 0x517c_c1b7_2722_0a95
	h, last := uint64(len(key)), uint64(0)
	for ; len(key) >= 8; key = key[8:] {
		h = (bits.RotateLeft64(h, 5) ^ frame.Word(key, 0)) * factor
	}
	for _, b := range key {
		last = last<<8 | uint64(b)
	}
	return uint32(((bits.RotateLeft64(h, 5) ^ last) * factor) >> 32)
}

// equal compares keys. WebAssembly has no instruction for it, and a call takes longer than the few words of a key.
func equal(left, right []byte) bool {
	if len(left) != len(right) || len(left) < 8 {
		return string(left) == string(right)
	}
	for at := 0; at+8 < len(left); at += 8 {
		if frame.Word(left, at) != frame.Word(right, at) {
			return false
		}
	}
	return frame.Word(left, len(left)-8) == frame.Word(right, len(right)-8)
}

// firstSlot is where the search for a hash begins: at its highest bits, which every bit of the key has had a part in.
func firstSlot(h uint32, slots int) int {
	return int(h >> (32 - bits.TrailingZeros(uint(slots))))
}

// isSame says whether two texts are one in memory, which those that stand in a source mostly are.
func isSame(left, right string) bool {
	return unsafe.StringData(left) == unsafe.StringData(right) && len(left) == len(right)
}

// column is where a column of the table stands; -1 if it is not declared.
func (c *cache) column(name string) int {
	columns := c.table.Columns
	nth := c.next
	if nth >= len(columns) || !isSame(columns[nth], name) {
		nth = c.table.column(name)
	}
	c.next = nth + 1
	return nth
}
