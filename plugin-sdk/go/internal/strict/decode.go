package strict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"lantern.dev/sdk-go/internal/frame"
)

// Objects and arrays in each other; more are nobody's event.
const depthMax = 512

type decoder struct {
	data  []byte
	pos   int
	depth int
}

// A fault is why JSON cannot be read, and where.
type fault struct {
	path   string
	reason string
	pos    int
}

func (f *fault) Error() string {
	if f.path == "" {
		return fmt.Sprintf("%s (byte %d of its JSON)", f.reason, f.pos)
	}
	return fmt.Sprintf("%s: %s (byte %d of its JSON)", f.path, f.reason, f.pos)
}

func (d *decoder) fail(format string, args ...any) *fault {
	return &fault{reason: fmt.Sprintf(format, args...), pos: d.pos}
}

func (f *fault) in(path string) *fault {
	switch {
	case f.path == "":
		f.path = path
	case f.path[0] == '[':
		f.path = path + f.path
	default:
		f.path = path + "." + f.path
	}
	return f
}

func (d *decoder) whole(p *plan, into unsafe.Pointer) error {
	if err := d.read(p, into); err != nil {
		return err
	}
	if d.pos < len(d.data) && (d.peek() != 0 || d.pos < len(d.data)) {
		return d.fail("there is more behind the JSON: %s", d.found())
	}
	return nil
}

// peek skips white space, and is the byte behind it; 0 at the end.
func (d *decoder) peek() byte {
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; c {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return c
		}
	}
	return 0
}

// found says what stands here, for a message.
func (d *decoder) found() string {
	switch c := d.peek(); {
	case c == 0 && d.pos == len(d.data):
		return "the end"
	case c == '"':
		return "a string"
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == 't' || c == 'f':
		return "a boolean"
	case c == 'n':
		return "null"
	case c == '-' || '0' <= c && c <= '9':
		end := d.pos
		for end < len(d.data) && end-d.pos < 40 && numeric(d.data[end]) {
			end++
		}
		return "the number " + string(d.data[d.pos:end])
	default:
		return strconv.QuoteRune(rune(c))
	}
}

func numeric(c byte) bool {
	return '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// at says whether this byte stands here.
func (d *decoder) at(c byte) bool { return d.pos < len(d.data) && d.data[d.pos] == c }

// begins says whether the JSON goes on with this text.
func (d *decoder) begins(text string) bool {
	return len(d.data)-d.pos >= len(text) && string(d.data[d.pos:d.pos+len(text)]) == text
}

func (d *decoder) literal(text string) bool {
	if !d.begins(text) {
		return false
	}
	d.pos += len(text)
	return true
}

func (d *decoder) read(p *plan, into unsafe.Pointer) *fault {
	var c byte
	if d.pos < len(d.data) {
		c = d.data[d.pos]
	}
	if c <= ' ' {
		c = d.peek()
	}
	switch p.op {
	case opString:
		if c != '"' {
			return d.fail("expected a string, found %s", d.found())
		}
		text, err := d.text()
		if err != nil {
			return err
		}
		*(*string)(into) = text
		return nil
	case opInt:
		return d.integer(p, into)
	case opStruct:
		return d.object(p, into)
	case opBool:
		switch {
		case d.literal("true"):
			*(*bool)(into) = true
		case d.literal("false"):
			*(*bool)(into) = false
		default:
			return d.fail("expected true or false, found %s", d.found())
		}
		return nil
	case opUint:
		return d.unsigned(p, into)
	case opFloat:
		return d.float(p, into)
	case opPointer:
		if c == 'n' && d.literal("null") {
			*(*unsafe.Pointer)(into) = nil
			return nil
		}
		value := reflect.New(p.elem.typ).UnsafePointer()
		*(*unsafe.Pointer)(into) = value
		return d.read(p.elem, value)
	case opSlice, opArray, opMap, opForeign:
		return d.reflected(c, p, reflect.NewAt(p.typ, into).Elem())
	}
	return d.fail("%s", p.invalid)
}

func (d *decoder) enter() *fault {
	d.depth++
	if d.depth > depthMax {
		return d.fail("more than %d objects and arrays are in each other", depthMax)
	}
	d.pos++
	return nil
}

func (d *decoder) object(p *plan, into unsafe.Pointer) *fault {
	if !d.at('{') && d.peek() != '{' {
		return d.fail("expected an object, found %s", d.found())
	}
	if err := d.enter(); err != nil {
		return err
	}
	var have seen
	next := 0
	for first := true; ; first = false {
		// Most JSON is written without white space, and its fields in the order in which they are declared: then a comma or a
		// brace and a name are one comparison each.
		if !first && d.at(',') {
			d.pos++
		} else if first && d.at('"') {
			// There is a first field.
		} else if more, err := d.more('}', first); err != nil {
			return err
		} else if !more {
			break
		}
		nth := next
		if nth < len(p.fields) && d.begins(p.fields[nth].quoted) {
			d.pos += len(p.fields[nth].quoted)
		} else {
			name, err := d.name()
			if err != nil {
				return err
			}
			if nth = p.find(name); nth < 0 {
				if err := d.skip(); err != nil {
					return err.in(name)
				}
				continue
			}
		}
		f := &p.fields[nth]
		next = nth + 1
		if !have.add(nth) {
			return d.fail("the field stands twice").in(f.name)
		}
		var err *fault
		switch place := unsafe.Add(into, f.offset); {
		// A call less for the kinds that are most of all fields.
		case f.plan.op == opString && d.at('"'):
			var text string
			if text, err = d.text(); err == nil {
				*(*string)(place) = text
			}
		case f.plan.op == opInt && d.pos < len(d.data) && d.data[d.pos] > ' ':
			err = d.integer(f.plan, place)
		default:
			err = d.read(f.plan, place)
		}
		if err != nil {
			return err.in(f.name)
		}
	}
	for word, required := range p.required {
		if required&^have[word] != 0 {
			return d.missing(p, &have)
		}
	}
	return nil
}

func (p *plan) find(name string) int {
	for nth := range p.fields {
		if p.fields[nth].name == name {
			return nth
		}
	}
	return -1
}

func (d *decoder) missing(p *plan, have *seen) *fault {
	for nth := range p.fields {
		if p.required[nth/64]&^have[nth/64]&(1<<(nth%64)) != 0 {
			return d.fail("the field %q is missing", p.fields[nth].name)
		}
	}
	return nil
}

// more is whether an object or array has one more item, and stands at it then.
func (d *decoder) more(end byte, first bool) (bool, *fault) {
	c := d.peek()
	if c == end {
		d.pos++
		d.depth--
		return false, nil
	}
	if first {
		return true, nil
	}
	if c != ',' {
		return false, d.fail("expected ',' or '%c', found %s", end, d.found())
	}
	d.pos++
	return true, nil
}

func (d *decoder) name() (string, *fault) {
	if d.peek() != '"' {
		return "", d.fail("expected a field's name, found %s", d.found())
	}
	name, err := d.text()
	if err != nil {
		return "", err
	}
	if d.peek() != ':' {
		return "", d.fail("expected ':', found %s", d.found())
	}
	d.pos++
	return name, nil
}

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

// number is a number as it stands, and whether it is an integer. It is empty when there is none.
func (d *decoder) number() (token []byte, integer bool) {
	start, pos := d.pos, d.pos
	digits := func() bool {
		from := pos
		for pos < len(d.data) && d.data[pos]-'0' < 10 {
			pos++
		}
		return pos > from
	}
	if pos < len(d.data) && d.data[pos] == '-' {
		pos++
	}
	first := pos
	if !digits() || pos > first+1 && d.data[first] == '0' {
		return nil, false
	}
	integer = true
	if pos < len(d.data) && d.data[pos] == '.' {
		pos++
		integer = false
		if !digits() {
			return nil, false
		}
	}
	if pos < len(d.data) && d.data[pos]|0x20 == 'e' {
		pos++
		integer = false
		if pos < len(d.data) && (d.data[pos] == '+' || d.data[pos] == '-') {
			pos++
		}
		if !digits() {
			return nil, false
		}
	}
	d.pos = pos
	return d.data[start:pos], integer
}

// digits reads the digits of an integer into a number. Not ok: it is no integer, or too large.
func (d *decoder) digits() (n uint64, ok bool) {
	pos := d.pos
	for pos < len(d.data) {
		digit := uint64(d.data[pos] - '0')
		if digit > 9 {
			break
		}
		if n > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
		pos++
	}
	if pos == d.pos || pos > d.pos+1 && d.data[d.pos] == '0' {
		return 0, false
	}
	if pos < len(d.data) && numeric(d.data[pos]) {
		return 0, false
	}
	d.pos = pos
	return n, true
}

func (d *decoder) integer(p *plan, into unsafe.Pointer) *fault {
	start := d.pos
	negative := d.pos < len(d.data) && d.data[d.pos] == '-'
	if negative {
		d.pos++
	}
	n, ok := d.digits()
	value := int64(n)
	if negative {
		value = -value
		ok = ok && n <= 1<<63
	} else {
		ok = ok && n <= math.MaxInt64
	}
	if ok {
		switch p.size {
		case 8:
			*(*int64)(into) = value
			return nil
		case 4:
			*(*int32)(into) = int32(value)
			ok = int64(int32(value)) == value
		case 2:
			*(*int16)(into) = int16(value)
			ok = int64(int16(value)) == value
		case 1:
			*(*int8)(into) = int8(value)
			ok = int64(int8(value)) == value
		}
	}
	if !ok {
		d.pos = start
		return d.fail("expected an integer that fits %v, found %s", p.typ.Kind(), d.found())
	}
	return nil
}

func (d *decoder) unsigned(p *plan, into unsafe.Pointer) *fault {
	start := d.pos
	n, ok := d.digits()
	if ok {
		switch p.size {
		case 8:
			*(*uint64)(into) = n
		case 4:
			*(*uint32)(into) = uint32(n)
			ok = n <= math.MaxUint32
		case 2:
			*(*uint16)(into) = uint16(n)
			ok = n <= math.MaxUint16
		case 1:
			*(*uint8)(into) = uint8(n)
			ok = n <= math.MaxUint8
		}
	}
	if !ok {
		d.pos = start
		return d.fail("expected an integer that fits %v, found %s", p.typ.Kind(), d.found())
	}
	return nil
}

func (d *decoder) float(p *plan, into unsafe.Pointer) *fault {
	start := d.pos
	token, _ := d.number()
	value, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(token), len(token)), int(p.size)*8)
	if err != nil {
		d.pos = start
		return d.fail("expected a number that fits %v, found %s", p.typ.Kind(), d.found())
	}
	if p.size == 4 {
		*(*float32)(into) = float32(value)
	} else {
		*(*float64)(into) = value
	}
	return nil
}

// skip passes over a value of any kind.
func (d *decoder) skip() *fault {
	switch c := d.peek(); {
	case c == '"':
		return d.skipText()
	case c == '{' || c == '[':
		if err := d.enter(); err != nil {
			return err
		}
		for first := true; ; first = false {
			more, err := d.more(c+2, first) // '{' + 2 is '}', and '[' + 2 is ']'.
			if err != nil || !more {
				return err
			}
			if c == '{' {
				if d.peek() != '"' {
					return d.fail("expected a field's name, found %s", d.found())
				}
				if err := d.skipText(); err != nil {
					return err
				}
				if d.peek() != ':' {
					return d.fail("expected ':', found %s", d.found())
				}
				d.pos++
			}
			if err := d.skip(); err != nil {
				return err
			}
		}
	case c == 't' && d.literal("true"), c == 'f' && d.literal("false"), c == 'n' && d.literal("null"):
		return nil
	default:
		if token, _ := d.number(); len(token) == 0 {
			return d.fail("expected a value, found %s", d.found())
		}
		return nil
	}
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

// reflected reads what is rarer than texts and numbers. The value is on the heap.
func (d *decoder) reflected(c byte, p *plan, into reflect.Value) *fault {
	if p.op == opForeign {
		return d.foreign(p, into)
	}
	if c == 'n' && p.op != opArray && d.literal("null") {
		into.SetZero()
		return nil
	}
	if p.op == opMap {
		return d.mapping(p, into)
	}
	if c != '[' {
		return d.fail("expected an array, found %s", d.found())
	}
	if err := d.enter(); err != nil {
		return err
	}
	if p.op == opSlice {
		into.Set(reflect.MakeSlice(p.typ, 0, 4))
	}
	for nth := 0; ; nth++ {
		more, err := d.more(']', nth == 0)
		if err != nil {
			return err
		}
		if !more {
			if p.op == opArray && nth != into.Len() {
				return d.fail("expected %d items, found %d", into.Len(), nth)
			}
			return nil
		}
		if p.op == opSlice {
			if nth == into.Cap() {
				into.Grow(1)
			}
			into.SetLen(nth + 1)
		} else if nth >= into.Len() {
			return d.fail("expected %d items, found more", into.Len())
		}
		if err := d.read(p.elem, into.Index(nth).Addr().UnsafePointer()); err != nil {
			return err.in("[" + strconv.Itoa(nth) + "]")
		}
	}
}

func (d *decoder) mapping(p *plan, into reflect.Value) *fault {
	if d.peek() != '{' {
		return d.fail("expected an object, found %s", d.found())
	}
	if err := d.enter(); err != nil {
		return err
	}
	into.Set(reflect.MakeMap(p.typ))
	for first := true; ; first = false {
		more, err := d.more('}', first)
		if err != nil || !more {
			return err
		}
		name, err := d.name()
		if err != nil {
			return err
		}
		value := reflect.New(p.elem.typ)
		if err := d.read(p.elem, value.UnsafePointer()); err != nil {
			return err.in(name)
		}
		into.SetMapIndex(reflect.ValueOf(name).Convert(p.typ.Key()), value.Elem())
	}
}

// foreign leaves a value to encoding/json: types that read themselves, interfaces, base64.
func (d *decoder) foreign(p *plan, into reflect.Value) *fault {
	d.peek()
	start := d.pos
	if err := d.skip(); err != nil {
		return err
	}
	// Numbers in an interface stay exact: json.Number.
	reader := json.NewDecoder(bytes.NewReader(d.data[start:d.pos]))
	reader.UseNumber()
	if err := reader.Decode(into.Addr().Interface()); err != nil {
		d.pos = start
		return d.fail("%v", err)
	}
	return nil
}
