package strict

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
)

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
