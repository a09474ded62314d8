package strict

import (
	"math"
	"strconv"
	"unsafe"
)

func numeric(c byte) bool {
	return '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
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
