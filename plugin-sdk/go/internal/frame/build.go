package frame

// builder collects the parts of a frame: an index and an arena that grow side by side.
type builder struct {
	index      []byte
	arena      []byte
	dictionary []byte
	ids        map[string]uint32
	count      int
}

func appendU32(bytes []byte, fields ...uint32) []byte {
	at := len(bytes)
	for range fields {
		bytes = append(bytes, 0, 0, 0, 0)
	}
	for nth, field := range fields {
		putU32(bytes, at+4*nth, field)
	}
	return bytes
}

// intern is the place of a text in the dictionary.
func (b *builder) intern(text string) uint32 {
	if id, ok := b.ids[text]; ok {
		return id
	}
	if b.ids == nil {
		b.ids = map[string]uint32{}
	}
	id := uint32(len(b.ids))
	b.ids[text] = id
	b.dictionary = appendU32(b.dictionary, uint32(len(b.arena)), uint32(len(text)))
	b.arena = append(b.arena, text...)
	return id
}

func (b *builder) append(bytes []byte) (pos, length uint32) {
	pos = uint32(len(b.arena))
	b.arena = append(b.arena, bytes...)
	return pos, uint32(len(bytes))
}

func (b *builder) optional(bytes []byte) (pos, length uint32) {
	if bytes == nil {
		return 0, None
	}
	return b.append(bytes)
}

// finish writes the frame into the memory of `into`, and starts over.
func (b *builder) finish(into []byte, kind Kind, stride int) []byte {
	size := headerBytes + len(b.dictionary) + len(b.index) + len(b.arena)
	if cap(into) < size {
		into = make([]byte, 0, size+size/4)
	}
	frame := into[:headerBytes]
	clear(frame)
	copy(frame, magic)
	frame[4], frame[6] = layoutVersion, byte(kind)
	putU32(frame, 8, uint32(b.count))
	putU32(frame, 12, uint32(stride))
	putU32(frame, 16, uint32(len(b.dictionary)/textBytes))
	putU32(frame, 20, uint32(len(b.arena)))
	frame = append(frame, b.dictionary...)
	frame = append(frame, b.index...)
	frame = append(frame, b.arena...)
	b.clear()
	return frame
}

// clear forgets what was collected, and keeps the memory.
func (b *builder) clear() {
	b.index, b.arena, b.dictionary, b.count = b.index[:0], b.arena[:0], b.dictionary[:0], 0
	clear(b.ids)
}
