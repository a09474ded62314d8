package frame

const opBytes = 16

// Op is one write. Event is the event that caused it, or -1.
type Op struct {
	Statement uint32
	Event     int
	Values    Values
}

// Ops is a frame of writes that was checked as a whole; its writes are checked as they are read.
type Ops struct{ layout layout }

// ParseOps reads a frame's header.
func ParseOps(frame []byte) (Ops, error) {
	l, err := parse(frame, KindOps, opBytes)
	return Ops{layout: l}, err
}

// Len is how many writes there are.
func (o *Ops) Len() int { return o.layout.count }

// Op is one of the writes.
func (o *Ops) Op(item int) (Op, error) {
	row := o.layout.row(item)
	op := Op{Statement: u32(row, 0), Event: -1}
	if event := u32(row, 4); event != None {
		op.Event = int(event)
	}
	var err error
	op.Values, err = o.layout.values(item, 8)
	return op, err
}

// OpsWriter writes frames of writes, and reuses its memory.
type OpsWriter struct{ builder builder }

// Len is how many writes it holds.
func (w *OpsWriter) Len() int { return w.builder.count }

// SizeBytes is about how long the frame will be.
func (w *OpsWriter) SizeBytes() int { return len(w.builder.index) + len(w.builder.arena) }

// Begin answers the arena, which the values of a write are appended to.
func (w *OpsWriter) Begin() []byte { return w.builder.arena }

// End adds the write whose values are in the arena behind what Begin answered. An event of -1 is none.
func (w *OpsWriter) End(arena []byte, statement uint32, event, count int) {
	w.Add(statement, event, len(w.builder.arena), count)
	w.builder.arena = arena
}

// Add adds a write whose values are at a position of the arena, or will be.
func (w *OpsWriter) Add(statement uint32, event, pos, count int) {
	b := &w.builder
	at := len(b.index)
	b.index = append(b.index, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	row := b.index[at:]
	putU32(row, 0, statement)
	putU32(row, 4, uint32(event))
	putU32(row, 8, uint32(pos))
	putU32(row, 12, uint32(count))
	b.count++
}

// Append appends values to the arena.
func (w *OpsWriter) Append(values []byte) { w.builder.arena = append(w.builder.arena, values...) }

// Clear forgets what it holds, and keeps the memory.
func (w *OpsWriter) Clear() { w.builder.clear() }

// Finish writes the frame into the memory of `into`, and starts over.
func (w *OpsWriter) Finish(into []byte) []byte {
	return w.builder.finish(into, KindOps, opBytes)
}
