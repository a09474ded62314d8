package lantern

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"

	"lantern.dev/sdk-go/internal/frame"
)

// appendValue appends a value of Go to an arena as one of SQLite's. It must not let the value escape, so that calling with it
// costs no memory.
func appendValue(arena []byte, value any) ([]byte, *Error) {
	switch v := value.(type) {
	case nil:
		return frame.AppendNull(arena), nil
	case string:
		return appendText(arena, v)
	case int64:
		return frame.AppendInteger(arena, v), nil
	case int:
		return frame.AppendInteger(arena, int64(v)), nil
	case int32:
		return frame.AppendInteger(arena, int64(v)), nil
	case float64:
		return frame.AppendReal(arena, v), nil
	case bool:
		return appendBool(arena, v), nil
	case []byte:
		if v == nil {
			return frame.AppendNull(arena), nil
		}
		return frame.AppendBlob(arena, v), nil
	}
	return appendReflected(arena, reflect.ValueOf(value))
}

func appendText(arena []byte, text string) ([]byte, *Error) {
	if !utf8.ValidString(text) {
		return arena, failure(BadInput, "a text is not UTF-8: %.40q; write it as []byte", strings.Clone(text))
	}
	return frame.AppendText(arena, text), nil
}

func appendBool(arena []byte, v bool) []byte {
	if v {
		return frame.AppendInteger(arena, 1)
	}
	return frame.AppendInteger(arena, 0)
}

// appendReflected appends values of other types by what they are made of.
func appendReflected(arena []byte, v reflect.Value) ([]byte, *Error) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return frame.AppendNull(arena), nil
		}
		return appendReflected(arena, v.Elem())
	case reflect.String:
		return appendText(arena, v.String())
	case reflect.Bool:
		return appendBool(arena, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return frame.AppendInteger(arena, v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if v.Uint() > math.MaxInt64 {
			return arena, failure(BadInput, "%d is above the largest integer that SQLite holds, %d: write it as text", v.Uint(), math.MaxInt64)
		}
		return frame.AppendInteger(arena, int64(v.Uint())), nil
	case reflect.Float32, reflect.Float64:
		return frame.AppendReal(arena, v.Float()), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if v.IsNil() {
				return frame.AppendNull(arena), nil
			}
			return frame.AppendBlob(arena, v.Bytes()), nil
		}
	}
	return arena, failure(Other, "SQLite has no value for a %v: write a text, a number, a bool, bytes, or a pointer to one of them", v.Type())
}

func appendValues(arena []byte, values []any) ([]byte, *Error) {
	var err *Error
	for _, value := range values {
		if arena, err = appendValue(arena, value); err != nil {
			return arena, err
		}
	}
	return arena, nil
}

// scan puts a value into what a pointer points to.
func scan(value frame.Value, into any) error {
	switch p := into.(type) {
	case *string:
		if value.Tag == frame.TagText {
			*p = string(value.Bytes)
			return nil
		}
	case *int64:
		if value.Tag == frame.TagInteger {
			*p = value.Bits
			return nil
		}
	case *any:
		*p = generic(value)
		return nil
	default:
		pointer := reflect.ValueOf(into)
		if pointer.Kind() != reflect.Pointer || pointer.IsNil() {
			return failure(Other, "a value is read into a pointer, not into a %T", into)
		}
		if scanReflected(value, pointer.Elem()) {
			return nil
		}
	}
	return failure(Other, "it is %s, which is no %v", described(value), reflect.TypeOf(into).Elem())
}

func scanReflected(value frame.Value, into reflect.Value) bool {
	null, integer := value.Tag == frame.TagNull, value.Tag == frame.TagInteger
	switch into.Kind() {
	case reflect.Pointer:
		if null {
			into.SetZero()
			return true
		}
		into.Set(reflect.New(into.Type().Elem()))
		return scanReflected(value, into.Elem())
	case reflect.Interface:
		if into.NumMethod() == 0 {
			into.Set(reflect.Zero(into.Type()))
			if !null {
				into.Set(reflect.ValueOf(generic(value)))
			}
			return true
		}
	case reflect.String:
		into.SetString(string(value.Bytes))
		return value.Tag == frame.TagText
	case reflect.Bool:
		into.SetBool(value.Bits == 1)
		return integer && (value.Bits == 0 || value.Bits == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		into.SetInt(value.Bits)
		return integer && !into.OverflowInt(value.Bits)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		into.SetUint(uint64(value.Bits))
		return integer && value.Bits >= 0 && !into.OverflowUint(uint64(value.Bits))
	case reflect.Float64, reflect.Float32:
		if integer {
			into.SetFloat(float64(value.Bits))
			return true
		}
		into.SetFloat(value.Real())
		return value.Tag == frame.TagReal
	case reflect.Slice:
		if into.Type().Elem().Kind() == reflect.Uint8 {
			if null {
				into.SetZero()
				return true
			}
			into.SetBytes(append([]byte{}, value.Bytes...))
			return value.Tag == frame.TagBlob
		}
	}
	return false
}

// generic is the value as nil, int64, float64, string or []byte.
func generic(value frame.Value) any {
	switch value.Tag {
	case frame.TagInteger:
		return value.Bits
	case frame.TagReal:
		return value.Real()
	case frame.TagText:
		return string(value.Bytes)
	case frame.TagBlob:
		return append([]byte{}, value.Bytes...)
	}
	return nil
}

func described(value frame.Value) string {
	switch value.Tag {
	case frame.TagInteger:
		return fmt.Sprintf("the integer %d", value.Bits)
	case frame.TagReal:
		return fmt.Sprintf("the real %v", value.Real())
	case frame.TagText:
		return fmt.Sprintf("the text %.40q", value.Bytes)
	case frame.TagBlob:
		return fmt.Sprintf("a blob of %d bytes", len(value.Bytes))
	}
	return "NULL"
}
