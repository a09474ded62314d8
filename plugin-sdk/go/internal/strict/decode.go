package strict

import (
	"fmt"
	"reflect"
	"strconv"
	"unsafe"
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
