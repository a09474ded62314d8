package frame

const (
	eventBytes  = 56
	headerEntry = 12
)

// Events is a frame of events that was checked as a whole; its events are checked as they are read.
type Events struct {
	layout layout
	// What of the arena is not yet taken by the events before: no two events share bytes, so that whoever reads all of
	// a frame does work in proportion to its length.
	left int
}

// Event is an event of a frame.
type Event struct {
	Index     int
	Type      string
	Topic     string
	Partition int32
	Offset    int64
	// Unix milliseconds; -1 when it has none.
	TimestampMs int64
	// nil: none. Empty: no bytes.
	Key     []byte
	Payload []byte

	frame   *Events
	headers []byte
}

// ParseEvents reads a frame's header and dictionary.
func ParseEvents(frame []byte) (Events, error) {
	l, err := parse(frame, KindEvents, eventBytes)
	return Events{layout: l, left: len(l.arena)}, err
}

// Len is how many events there are.
func (e *Events) Len() int { return e.layout.count }

// Read reads an event. Events are read in order, each once.
func (e *Events) Read(item int, into *Event) error {
	row := e.layout.row(item)
	var ok bool
	if into.Topic, ok = e.layout.text(u32(row, 16)); !ok {
		return outside("the topic", item)
	}
	if into.Type, ok = e.layout.text(u32(row, 24)); !ok {
		return outside("the type", item)
	}
	into.Index, into.frame = item, e
	into.Offset, into.TimestampMs, into.Partition = i64(row, 0), i64(row, 8), int32(u32(row, 20))
	if into.Key, ok = e.take(u32(row, 28), u32(row, 32)); !ok {
		return outside("the key", item)
	}
	if into.Payload, ok = e.take(u32(row, 36), u32(row, 40)); !ok {
		return outside("the payload", item)
	}
	into.headers = nil
	if count := u32(row, 48); count > 0 {
		return e.readHeaders(item, u32(row, 44), count, into)
	}
	if uint64(u32(row, 44)) > uint64(len(e.layout.arena)) {
		return outside("the headers", item)
	}
	return nil
}

func (e *Events) readHeaders(item int, pos, count uint32, into *Event) error {
	size := uint64(count) * headerEntry
	if size >= None {
		return outside("the headers", item)
	}
	headers, ok := e.take(pos, uint32(size))
	if !ok {
		return outside("the headers", item)
	}
	for at := 0; at < len(headers); at += headerEntry {
		if _, ok := e.layout.text(u32(headers, at)); !ok {
			return outside("a header's name", item)
		}
		if _, ok := e.take(u32(headers, at+4), u32(headers, at+8)); !ok {
			return outside("a header", item)
		}
	}
	into.headers = headers
	return nil
}

// take is bytes of the arena that no event has had yet; nil where the length says that there are none.
func (e *Events) take(pos, length uint32) ([]byte, bool) {
	if length == None {
		return nil, true
	}
	bytes, ok := e.layout.bytes(pos, length)
	if !ok || len(bytes) > e.left {
		return nil, false
	}
	e.left -= len(bytes)
	return bytes, true
}

// Headers is how many headers the event has.
func (e *Event) Headers() int { return len(e.headers) / headerEntry }

// Header is one of the headers, by its place: its name and its value, which is nil where there is none.
func (e *Event) Header(nth int) (string, []byte) {
	at := nth * headerEntry
	name, _ := e.frame.layout.text(u32(e.headers, at))
	if u32(e.headers, at+8) == None {
		return name, nil
	}
	value, _ := e.frame.layout.bytes(u32(e.headers, at+4), u32(e.headers, at+8))
	return name, value
}

// EventsWriter writes frames of events as the host does, with the headers of all events behind everything else: tests and the
// native harness give them to plugins.
type EventsWriter struct {
	builder builder
	headers []byte
}

// Header is a header to be written; a nil value is none.
type Header struct {
	Name  string
	Value []byte
}

// Push adds an event.
func (w *EventsWriter) Push(event Event, headers ...Header) {
	b := &w.builder
	topic, kind := b.intern(event.Topic), b.intern(event.Type)
	keyPos, keyLen := b.optional(event.Key)
	payloadPos, payloadLen := b.optional(event.Payload)
	var headersPos uint32
	if len(headers) > 0 {
		headersPos = uint32(len(w.headers))
	}
	for _, header := range headers {
		name := b.intern(header.Name)
		pos, length := b.optional(header.Value)
		w.headers = appendU32(w.headers, name, pos, length)
	}
	at := len(b.index)
	b.index = append(b.index, make([]byte, eventBytes)...)
	row := b.index[at:]
	putI64(row, 0, event.Offset)
	putI64(row, 8, event.TimestampMs)
	for nth, field := range [...]uint32{
		topic, uint32(event.Partition), kind, keyPos, keyLen, payloadPos, payloadLen, headersPos, uint32(len(headers)),
	} {
		putU32(row, 16+4*nth, field)
	}
	b.count++
}

// Finish answers the frame, and starts over.
func (w *EventsWriter) Finish() []byte {
	b := &w.builder
	if len(w.headers) > 0 {
		for len(b.arena)%4 != 0 {
			b.arena = append(b.arena, 0)
		}
		start, _ := b.append(w.headers)
		for at := 0; at < len(b.index); at += eventBytes {
			if row := b.index[at:]; u32(row, 48) > 0 {
				putU32(row, 44, start+u32(row, 44))
			}
		}
	}
	frame := b.finish(nil, KindEvents, eventBytes)
	*w = EventsWriter{}
	return frame
}
