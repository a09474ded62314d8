// Package frame reads and writes frames, layout 1: the bytes in which batches of events, writes and rows cross between
// host and plugin. plugin-sdk/wit/frames.md specifies them.
//
// What a reader answers points into the frame. So a frame must not change as long as anything that was read from it is used.
package frame

import (
	"fmt"
	"unicode/utf8"
	"unsafe"
)

const (
	magic         = "LTRN"
	layoutVersion = 1
	headerBytes   = 32
	textBytes     = 8
	// None is the length, or the event, that says "there is none".
	None = 0xFFFFFFFF
)

// Kind is what a frame holds.
type Kind uint16

// The kinds of frames, by the numbers that they have in a header.
const (
	KindEvents Kind = 1
	KindOps    Kind = 2
	KindRows   Kind = 3
)

func (k Kind) String() string {
	switch k {
	case KindEvents:
		return "events"
	case KindOps:
		return "writes"
	case KindRows:
		return "rows"
	}
	return fmt.Sprintf("kind %d", uint16(k))
}

// Code names why bytes are refused, as frames.md does.
type Code string

// The codes of frames.md.
const (
	Short   Code = "short"
	Magic   Code = "magic"
	Version Code = "version"
	BadKind Code = "kind"
	Stride  Code = "stride"
	Length  Code = "length"
	Bounds  Code = "bounds"
	UTF8    Code = "utf8"
	Tag     Code = "tag"
	Column  Code = "column"
	BadType Code = "value"
)

// Error is why some bytes are not the frame that was expected.
type Error struct {
	Code   Code
	Reason string
}

func (e *Error) Error() string { return "mangled frame: " + e.Reason }

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Reason: fmt.Sprintf(format, args...)}
}

func outside(what string, item int) *Error {
	return refuse(Bounds, "%s of item %d points outside of the frame", what, item)
}

// layout is a frame whose lengths add up and whose dictionary is valid.
type layout struct {
	count  int
	stride int
	texts  []string
	index  []byte
	arena  []byte
}

func parse(frame []byte, kind Kind, strideLeast int) (layout, error) {
	if len(frame) < headerBytes {
		return layout{}, refuse(Short, "it has %d bytes, its header alone has %d", len(frame), headerBytes)
	}
	if string(frame[:4]) != magic {
		return layout{}, refuse(Magic, "it starts with %x, not %q", frame[:4], magic)
	}
	if version := uint16(frame[4]) | uint16(frame[5])<<8; version == 0 || version > layoutVersion {
		return layout{}, refuse(Version, "its layout is %d, this side reads up to %d: build the plugin with the SDK of this Lantern", version, layoutVersion)
	}
	if found := Kind(uint16(frame[6]) | uint16(frame[7])<<8); found != kind {
		return layout{}, refuse(BadKind, "expected %v, found %v", kind, found)
	}
	count, stride := u32(frame, 8), u32(frame, 12)
	texts, arena := u32(frame, 16), u32(frame, 20)
	if stride < uint32(strideLeast) {
		return layout{}, refuse(Stride, "it has %d bytes per item, at least %d are expected", stride, strideLeast)
	}
	// Neither product nor sum can overflow: 2^64 is more than (2^32-1)^2 and the rest together.
	dictionaryBytes, indexBytes := uint64(texts)*textBytes, uint64(count)*uint64(stride)
	stated := headerBytes + dictionaryBytes + indexBytes + uint64(arena)
	if stated != uint64(len(frame)) {
		return layout{}, refuse(Length, "its header states %d bytes, it has %d", stated, len(frame))
	}
	index := headerBytes + int(dictionaryBytes)
	l := layout{
		count:  int(count),
		stride: int(stride),
		index:  frame[index : index+int(indexBytes)],
		arena:  frame[index+int(indexBytes):],
	}
	return l, l.readTexts(frame[headerBytes:index])
}

// readTexts checks the dictionary. Texts that overlap could add up to far more than the frame: checking them must not
// take longer than reading it.
func (l *layout) readTexts(dictionary []byte) error {
	if len(dictionary) == 0 {
		return nil
	}
	l.texts = make([]string, 0, len(dictionary)/textBytes)
	left := len(l.arena)
	for at := 0; at < len(dictionary); at += textBytes {
		text, ok := l.bytes(u32(dictionary, at), u32(dictionary, at+4))
		if !ok || len(text) > left {
			return refuse(Bounds, "a text of the dictionary points outside of the frame")
		}
		left -= len(text)
		if !utf8.Valid(text) {
			return refuse(UTF8, "a text of the dictionary is not UTF-8")
		}
		l.texts = append(l.texts, Text(text))
	}
	return nil
}

func (l *layout) row(item int) []byte {
	return l.index[item*l.stride : (item+1)*l.stride]
}

func (l *layout) text(id uint32) (string, bool) {
	if uint64(id) >= uint64(len(l.texts)) {
		return "", false
	}
	return l.texts[id], true
}

func (l *layout) bytes(pos, length uint32) ([]byte, bool) {
	end := uint64(pos) + uint64(length)
	if end > uint64(len(l.arena)) {
		return nil, false
	}
	return l.arena[pos:end:end], true
}

// values are those of an item, whose position and number stand at `at` in its part of the index. They end no later than
// the next item's begin, so that no two items share bytes.
func (l *layout) values(item, at int) (Values, error) {
	row := l.row(item)
	pos, count, end := u32(row, at), u32(row, at+4), uint32(len(l.arena))
	if item+1 < l.count {
		end = u32(l.row(item+1), at)
	}
	// A value has at least its tag: more of them than bytes cannot be.
	if pos > end || uint64(end) > uint64(len(l.arena)) || count > end-pos {
		return Values{}, outside("a value", item)
	}
	return Values{rest: l.arena[pos:end], left: int(count), item: item}, nil
}

// Text is bytes as a string that shares their memory: they must not change any more.
func Text(bytes []byte) string {
	return unsafe.String(unsafe.SliceData(bytes), len(bytes))
}
