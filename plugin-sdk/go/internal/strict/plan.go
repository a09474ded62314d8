// Package strict reads JSON as events need it: what an event does not say is an error, never a zero.
//
// It reads into the types that encoding/json reads into, by the same tags, and differs in this:
//
//   - A field has to be there, unless it is a pointer or tagged omitempty or omitzero. A pointer that is tagged required has to
//     be there too, if only as null. Fields that the struct does not have are passed over.
//   - Names match exactly, and a name stands once.
//   - null is for pointers, slices, maps and interfaces.
//   - Integers are exact or refused. Texts are UTF-8.
//
// Texts without escapes share the memory of the JSON: it must not change any more.
package strict

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"unsafe"
)

// What is read into a place of memory.
type op uint8

const (
	opBool op = iota
	opInt
	opUint
	opFloat
	opString
	opPointer
	opStruct
	opSlice
	opArray
	opMap
	opForeign
	opInvalid
)

const fieldsMax = 256

// A plan says how JSON is read into values of a type. It is made once for a type.
type plan struct {
	op   op
	typ  reflect.Type
	size uintptr
	elem *plan
	// By position, as they were declared.
	fields   []field
	required seen
	// The value has to be on the heap: something keeps a pointer to it while it is read.
	heap bool
	// Why the type cannot be read.
	invalid string
}

type field struct {
	name string
	// As it stands in JSON without white space: the name's quotes and the colon.
	quoted string
	offset uintptr
	plan   *plan
}

// A set of fields by their positions.
type seen [fieldsMax / 64]uint64

func (s *seen) add(nth int) bool {
	word, bit := nth/64, uint64(1)<<(nth%64)
	was := s[word]&bit != 0
	s[word] |= bit
	return !was
}

type known struct {
	word uintptr
	plan *plan
}

// wordOf tells types apart by one comparison: a type of the program is one value in memory, which an interface points to.
func wordOf(typ reflect.Type) uintptr { return (*[2]uintptr)(unsafe.Pointer(&typ))[1] }

// Types are few: a search of a slice beats a map's hash.
var plans atomic.Pointer[[]known]

func planOf(typ reflect.Type) *plan {
	if all := plans.Load(); all != nil {
		for i := range *all {
			if (*all)[i].word == wordOf(typ) {
				return (*all)[i].plan
			}
		}
	}
	p := (&planner{}).plan(typ)
	for {
		old := plans.Load()
		var all []known
		if old != nil {
			all = append(all, *old...)
		}
		all = append(all, known{wordOf(typ), p})
		if plans.CompareAndSwap(old, &all) {
			return p
		}
	}
}

type planner struct{ made map[reflect.Type]*plan }

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (m *planner) plan(typ reflect.Type) *plan {
	if p, ok := m.made[typ]; ok {
		// It is a part of itself, which only pointers, slices and maps can make.
		return p
	}
	if m.made == nil {
		m.made = map[reflect.Type]*plan{}
	}
	p := &plan{typ: typ, size: typ.Size()}
	m.made[typ] = p
	if pointer := reflect.PointerTo(typ); typ.Kind() != reflect.Pointer &&
		(pointer.Implements(unmarshaler) || pointer.Implements(textUnmarshaler)) {
		p.op, p.heap = opForeign, true
		return p
	}
	switch typ.Kind() {
	case reflect.Bool:
		p.op = opBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.op = opInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		p.op = opUint
	case reflect.Float32, reflect.Float64:
		p.op = opFloat
	case reflect.String:
		p.op = opString
	case reflect.Pointer:
		p.op, p.elem = opPointer, m.plan(typ.Elem())
	case reflect.Struct:
		p.op = opStruct
		m.fields(p, typ, 0)
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 {
			// base64, as encoding/json has it.
			p.op, p.heap = opForeign, true
			break
		}
		p.op, p.heap, p.elem = opSlice, true, m.plan(typ.Elem())
	case reflect.Array:
		p.op, p.heap, p.elem = opArray, true, m.plan(typ.Elem())
	case reflect.Map:
		p.op, p.heap, p.elem = opMap, true, m.plan(typ.Elem())
		if typ.Key().Kind() != reflect.String {
			p.op = opForeign
		}
	case reflect.Interface:
		p.op, p.heap = opForeign, true
	default:
		p.refuse("%v has no form in JSON", typ)
	}
	if p.elem != nil {
		p.inherit(p.elem)
	}
	return p
}

func (p *plan) refuse(format string, args ...any) {
	p.op, p.invalid = opInvalid, fmt.Sprintf(format, args...)
}

func (p *plan) inherit(part *plan) {
	// What a pointer points to is on the heap anyhow.
	p.heap = p.heap || part.heap && p.op != opPointer
	if part.op == opInvalid && p.op != opInvalid {
		p.refuse("%s", part.invalid)
	}
}

func (m *planner) fields(p *plan, typ reflect.Type, offset uintptr) {
	for nth := range typ.NumField() {
		f := typ.Field(nth)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" && options == "" {
			continue
		}
		if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
			m.fields(p, f.Type, offset+f.Offset)
			continue
		}
		if !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if has(options, "string") {
			p.refuse("the field %s of %v is tagged `string`, which is not supported: use a type with UnmarshalJSON", f.Name, typ)
			return
		}
		if len(p.fields) == fieldsMax {
			p.refuse("%v has more than %d fields", typ, fieldsMax)
			return
		}
		part := m.plan(f.Type)
		p.inherit(part)
		if p.op == opInvalid {
			return
		}
		optional := f.Type.Kind() == reflect.Pointer || has(options, "omitempty") || has(options, "omitzero")
		if !optional || has(options, "required") {
			p.required.add(len(p.fields))
		}
		p.fields = append(p.fields, field{name, `"` + name + `":`, offset + f.Offset, part})
	}
}

func has(options, option string) bool {
	for part := range strings.SplitSeq(options, ",") {
		if part == option {
			return true
		}
	}
	return false
}

// Decode reads all of the JSON into a value.
func Decode[T any](data []byte, into *T) error {
	p := planOf(reflect.TypeFor[T]())
	d := decoder{data: data}
	if p.heap {
		value := new(T)
		err := d.whole(p, unsafe.Pointer(value))
		*into = *value
		return err
	}
	return d.whole(p, hidden(unsafe.Pointer(into)))
}

// Into reads all of the JSON into what a pointer points to.
func Into(data []byte, into any) error {
	pointer := reflect.ValueOf(into)
	if pointer.Kind() != reflect.Pointer || pointer.IsNil() {
		return fmt.Errorf("JSON is read into a pointer, not into %T", into)
	}
	d := decoder{data: data}
	return d.whole(planOf(pointer.Type().Elem()), pointer.UnsafePointer())
}

// hidden is the pointer without what the compiler knows of it, so that the value it points to can stay on the stack. It
// is right because a plan that is not `heap` reads into the value and keeps no pointer to it.
//
//go:nosplit
func hidden(p unsafe.Pointer) unsafe.Pointer {
	at := uintptr(p)
	return *(*unsafe.Pointer)(unsafe.Pointer(&at))
}
