package frame

import (
	"math"
	"unicode/utf8"
)

// The tags of SQLite's five kinds of value.
const (
	TagNull byte = iota
	TagInteger
	TagReal
	TagText
	TagBlob
)

// Value is a value of a row. Bytes holds the content of a text or blob, Bits the integer or the bits of the real.
type Value struct {
	Tag   byte
	Bits  int64
	Bytes []byte
}

// Real is the content of a real.
func (v Value) Real() float64 { return math.Float64frombits(uint64(v.Bits)) }

// Append appends the value to an arena.
func (v Value) Append(arena []byte) []byte {
	switch v.Tag {
	case TagInteger, TagReal:
		return appendNumber(arena, v.Tag, v.Bits)
	case TagText, TagBlob:
		return append(appendSize(arena, v.Tag, len(v.Bytes)), v.Bytes...)
	}
	return AppendNull(arena)
}

// AppendNull appends a NULL to an arena.
func AppendNull(arena []byte) []byte { return append(arena, TagNull) }

// AppendInteger appends an integer to an arena.
func AppendInteger(arena []byte, n int64) []byte { return appendNumber(arena, TagInteger, n) }

// AppendReal appends a real to an arena; NaN becomes NULL, as SQLite has it.
func AppendReal(arena []byte, x float64) []byte {
	if x != x {
		return AppendNull(arena)
	}
	return appendNumber(arena, TagReal, int64(math.Float64bits(x)))
}

// AppendText appends a text to an arena.
func AppendText(arena []byte, text string) []byte {
	return append(appendSize(arena, TagText, len(text)), text...)
}

// AppendBlob appends a blob to an arena.
func AppendBlob(arena []byte, blob []byte) []byte {
	return append(appendSize(arena, TagBlob, len(blob)), blob...)
}

func appendNumber(arena []byte, tag byte, n int64) []byte {
	at := len(arena)
	arena = append(arena, tag, 0, 0, 0, 0, 0, 0, 0, 0)
	putI64(arena, at+1, n)
	return arena
}

func appendSize(arena []byte, tag byte, size int) []byte {
	at := len(arena)
	arena = append(arena, tag, 0, 0, 0, 0)
	putU32(arena, at+1, uint32(size))
	return arena
}

// SizeOf is how many bytes the value has that an arena of one's own begins with.
func SizeOf(arena []byte) uint32 {
	switch arena[0] {
	case TagNull:
		return 1
	case TagInteger, TagReal:
		return 9
	}
	return 5 + u32(arena, 1)
}

// IntegerOf is the integer that an arena of one's own begins with.
func IntegerOf(arena []byte) int64 { return i64(arena, 1) }

// Values are the values of one row or one write, read one after the other.
type Values struct {
	rest []byte
	left int
	item int
}

// ReadValue reads the value that an arena begins with.
func ReadValue(arena []byte) (Value, error) {
	values := Values{rest: arena, left: 1}
	return values.Next()
}

// Len is how many values are left.
func (v *Values) Len() int { return v.left }

// Next reads the next value. Behind a mangled one nothing can be found.
func (v *Values) Next() (Value, error) {
	value, size, code := v.read()
	if code != "" {
		v.left = 0
		if code == Tag {
			return Value{}, refuse(Tag, "item %d has a value with the unknown tag %d", v.item, v.rest[0])
		}
		if code == UTF8 {
			return Value{}, refuse(UTF8, "a text of item %d is not UTF-8", v.item)
		}
		return Value{}, outside("a value", v.item)
	}
	v.rest = v.rest[size:]
	v.left--
	return value, nil
}

func (v *Values) read() (value Value, size int, code Code) {
	if v.left <= 0 || len(v.rest) == 0 {
		return Value{}, 0, Bounds
	}
	switch tag := v.rest[0]; tag {
	case TagNull:
		return Value{}, 1, ""
	case TagInteger, TagReal:
		if len(v.rest) < 9 {
			return Value{}, 0, Bounds
		}
		return Value{Tag: tag, Bits: i64(v.rest, 1)}, 9, ""
	case TagText, TagBlob:
		if len(v.rest) < 5 {
			return Value{}, 0, Bounds
		}
		end := 5 + uint64(u32(v.rest, 1))
		if end > uint64(len(v.rest)) {
			return Value{}, 0, Bounds
		}
		content := v.rest[5:end:end]
		if tag == TagText && !utf8.Valid(content) {
			return Value{}, 0, UTF8
		}
		return Value{Tag: tag, Bytes: content}, int(end), ""
	}
	return Value{}, 0, Tag
}
