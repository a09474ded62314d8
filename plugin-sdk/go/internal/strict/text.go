package strict

import (
	"unicode/utf16"
	"unicode/utf8"

	"lantern.dev/sdk-go/internal/frame"
)

// text reads a string. Without escapes it is the JSON's own memory.
func (d *decoder) text() (string, *fault) {
	d.pos++
	start, pos, ascii := d.pos, d.pos, true
	for {
		// Eight bytes at a time, as long as none of them is a quote, an escape, a control character or beyond ASCII.
		for pos+8 <= len(d.data) && isPlain(frame.Word(d.data, pos)) {
			pos += 8
		}
		// Then one by one to the end, or over what was found.
		for stop := min(pos+8, len(d.data)); pos < stop; pos++ {
			switch c := d.data[pos]; {
			case c == '"':
				text := d.data[start:pos]
				if !ascii && !utf8.Valid(text) {
					return "", d.fail("a string is not UTF-8")
				}
				d.pos = pos + 1
				return frame.Text(text), nil
			case c == '\\':
				return d.escaped(start, pos)
			case c < ' ':
				d.pos = pos
				return "", d.fail("a string has the control character %#02x", c)
			case c >= utf8.RuneSelf:
				ascii = false
			}
		}
		if pos == len(d.data) {
			d.pos = pos
			return "", d.fail("a string does not end")
		}
	}
}

// isPlain says whether of eight bytes none ends a string or needs a look.
func isPlain(word uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote, escape := word^(ones*'"'), word^(ones*'\\')
	// A byte is 0 if subtracting 1 borrows, and below a space if subtracting a space does. Where a byte before it has
	// borrowed the answer may be wrong, but then that one has stopped it anyhow.
	return ((quote-ones)&^quote|(escape-ones)&^escape|(word-ones*' ')&^word|word)&highs == 0
}

// escaped reads a string from its first escape on.
func (d *decoder) escaped(start, pos int) (string, *fault) {
	text := append([]byte(nil), d.data[start:pos]...)
	for pos < len(d.data) {
		c := d.data[pos]
		d.pos = pos
		switch {
		case c == '"':
			if !utf8.Valid(text) {
				return "", d.fail("a string is not UTF-8")
			}
			d.pos = pos + 1
			return string(text), nil
		case c < ' ':
			return "", d.fail("a string has the control character %#02x", c)
		case c != '\\':
			text = append(text, c)
			pos++
		default:
			char, size := d.escape(pos)
			if size == 0 {
				return "", d.fail("a string has an escape that is none")
			}
			text = utf8.AppendRune(text, char)
			pos += size
		}
	}
	d.pos = len(d.data)
	return "", d.fail("a string does not end")
}

// escape is the character of the escape at pos, and how many bytes it takes; 0 when it is none.
func (d *decoder) escape(pos int) (rune, int) {
	if pos+1 >= len(d.data) {
		return 0, 0
	}
	switch c := d.data[pos+1]; c {
	case '"', '\\', '/':
		return rune(c), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		char, ok := d.hex(pos + 2)
		if !ok {
			return 0, 0
		}
		if !utf16.IsSurrogate(char) {
			return char, 6
		}
		if pos+7 < len(d.data) && d.data[pos+6] == '\\' && d.data[pos+7] == 'u' {
			low, ok := d.hex(pos + 8)
			if char = utf16.DecodeRune(char, low); ok && char != utf8.RuneError {
				return char, 12
			}
		}
	}
	return 0, 0
}

func (d *decoder) hex(pos int) (rune, bool) {
	if pos+4 > len(d.data) {
		return 0, false
	}
	var n rune
	for _, c := range d.data[pos : pos+4] {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			n = n<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// skipText passes over a string. What is not UTF-8 where nobody reads it is no error.
func (d *decoder) skipText() *fault {
	for pos := d.pos + 1; pos < len(d.data); pos++ {
		switch c := d.data[pos]; {
		case c == '"':
			d.pos = pos + 1
			return nil
		case c == '\\':
			_, size := d.escape(pos)
			if size == 0 {
				d.pos = pos
				return d.fail("a string has an escape that is none")
			}
			pos += size - 1
		case c < ' ':
			d.pos = pos
			return d.fail("a string has the control character %#02x", c)
		}
	}
	d.pos = len(d.data)
	return d.fail("a string does not end")
}
