package strict

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

type order struct {
	ID    string  `json:"id"`
	N     int64   `json:"n"`
	Price float64 `json:"price,omitempty"`
	Note  *string `json:"note"`
	Small int8    `json:"small,omitzero"`
	U     uint64  `json:"u,omitempty"`
	Paid  bool    `json:"paid,omitempty"`
	base
	Lines []line         `json:"lines,omitempty"`
	Tags  map[string]int `json:"tags,omitempty"`
	Raw   json.RawMessage
	At    time.Time `json:"at,omitzero"`
	Any   any       `json:"any,omitempty"`
	Pair  [2]int    `json:"pair,omitempty"`
	Skip  string    `json:"-"`
}

type base struct {
	Shop string `json:"shop,omitempty"`
}

type line struct {
	SKU  string `json:"sku"`
	Next *line  `json:"next"`
}

// What an event says must arrive as it was said, or not at all.
func TestWhatJSONSaysIsReadExactly(t *testing.T) {
	note := "n"
	check := func(text string, expected order) {
		t.Helper()
		text = `{"id":"o","n":1,"Raw":1` + text + "}"
		expected.ID, expected.N, expected.Raw = "o", 1, json.RawMessage("1")
		var got, other order
		if err := Decode([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if !reflect.DeepEqual(got, expected) {
			t.Errorf("%s:\n%+v\n%+v", text, got, expected)
		}
		if err := Into([]byte(text), &other); err != nil || !reflect.DeepEqual(other, got) {
			t.Errorf("%s: Into: %v", text, err)
		}
	}
	check("", order{})
	check(`, "other":{"a":[1,{"b":"\"}"}],"c":null,"d":-1.5e3} `, order{})
	check(`,"price":-0.5,"note":"n"`, order{Price: -0.5, Note: &note})
	check(`,"note":null`, order{})
	check(`,"small":-128,"u":18446744073709551615,"paid":true`, order{Small: -128, U: math.MaxUint64, Paid: true})
	check(`,"shop":"a\u00e9\ud83e\udd86\n\/"`, order{base: base{Shop: "aé🦆\n/"}})
	check(`,"lines":[{"sku":"a"},{"sku":"b","next":{"sku":"c","next":null}}]`,
		order{Lines: []line{{SKU: "a"}, {SKU: "b", Next: &line{SKU: "c"}}}})
	check(`,"lines":[]`, order{Lines: []line{}})
	check(`,"lines":null,"tags":{"x":1,"y":2}`, order{Tags: map[string]int{"x": 1, "y": 2}})
	check(`,"at":"2026-01-02T03:04:05Z"`, order{At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
	check(`,"any":9007199254740993,"pair":[1,2]`, order{Any: json.Number("9007199254740993"), Pair: [2]int{1, 2}})

	for _, n := range []int64{math.MinInt64, math.MaxInt64, 0, -1, 1<<53 + 1} {
		var into struct{ N int64 }
		if err := Decode(fmt.Appendf(nil, `{"N":%d}`, n), &into); err != nil || into.N != n {
			t.Errorf("%d: %d, %v", n, into.N, err)
		}
	}
}

func TestWhatIsNotSaidRightIsRefused(t *testing.T) {
	check := func(text, message string) {
		t.Helper()
		var into order
		err := Decode([]byte(text), &into)
		if err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: expected %q, got %v", text, message, err)
		}
	}
	with := func(text string) string { return `{"id":"o","n":1,"Raw":1,` + text + `}` }
	check(`{"n":1,"Raw":1}`, `the field "id" is missing`)
	check(`{"ID":"o","n":1,"Raw":1}`, `the field "id" is missing`)
	check(`{"id":null,"n":1,"Raw":1}`, "id: expected a string, found null")
	check(`{"id":"o","n":1.5}`, "n: expected an integer that fits int64, found the number 1.5 (byte 14")
	for _, n := range []string{"9223372036854775808", "-9223372036854775809", "1e3", "01", `"1"`, "-", "99999999999999999999999", "null"} {
		check(`{"id":"o","n":`+n+`}`, "n: expected an integer")
	}
	check(with(`"small":128`), "small: expected an integer that fits int8, found the number 128")
	check(with(`"u":-1`), "u: expected an integer that fits uint64")
	check(with(`"price":1e400`), "price: expected a number that fits float64")
	check(with(`"price":"1"`), "price: expected a number that fits float64, found a string")
	check(with(`"price":.5`), "price: expected a number")
	check(with(`"lines":[{"sku":"a"},{"sku":2}]`), "lines[1].sku: expected a string, found the number 2")
	check(with(`"lines":[{"sku":"a"},{}]`), `lines[1]: the field "sku" is missing`)
	check(with(`"lines":{}`), "lines: expected an array, found an object")
	check(with(`"tags":{"x":"y"}`), "tags.x: expected an integer")
	check(with(`"pair":[1]`), "pair: expected 2 items, found 1")
	check(with(`"pair":[1,2,3]`), "pair: expected 2 items, found more")
	check(with(`"at":"soon"`), "at: ")
	check(with(`"n":2`), "n: the field stands twice")
	check(with(`"paid":1`), "paid: expected true or false, found the number 1")
	check(with("\"shop\":\"\xff\""), "shop: a string is not UTF-8")
	check(with(`"shop":"\ud800"`), "shop: a string has an escape that is none")
	check(with(`"shop":"\x"`), "an escape that is none")
	check(with("\"shop\":\"\n\""), "control character 0x0a")
	check(with(`"other":"`), "other: a string does not end")
	check(with(`"other":nul`), "other: expected a value")
	check(with(`"other":[1,]`), "other: expected a value, found ']'")
	check(with(`"other":`+strings.Repeat("[", 600)), "more than 512 objects and arrays")
	check(`{"id":"o","n":1,"Raw":1} x`, "there is more behind the JSON: 'x'")
	check(`{"id":"o","n":1,"Raw":1`, "expected ',' or '}', found the end")
	check(``, "expected an object, found the end")
	check(`[]`, "expected an object, found an array")

	var required struct {
		Note *string `json:"note,required"`
	}
	if err := Decode([]byte(`{"note":null}`), &required); err != nil {
		t.Error(err)
	}
	if err := Decode([]byte(`{}`), &required); err == nil || !strings.Contains(err.Error(), `"note" is missing`) {
		t.Error(err)
	}

	var channel struct{ C chan int }
	if err := Decode([]byte(`{"C":1}`), &channel); err == nil || !strings.Contains(err.Error(), "has no form in JSON") {
		t.Error(err)
	}
}

// The events of a batch are many: reading one must not cost memory.
func TestTextsAndNumbersAreReadWithoutAllocating(t *testing.T) {
	data := []byte(`{"account":"account-17","cents":12345,"other":[1,2,3]}`)
	type event struct {
		Account string `json:"account"`
		Cents   int64  `json:"cents"`
	}
	var sum int64
	allocations := testing.AllocsPerRun(100, func() {
		var e event
		if err := Decode(data, &e); err != nil {
			t.Fatal(err)
		}
		sum += e.Cents + int64(len(e.Account))
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

// encoding/json is the measure for what is JSON, wherever this reader is not stricter on purpose.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{`{"a":"x","b":1,"c":1.5,"d":[true,null]}`, `{"a":"\ud83e\udd86"}`, `[]`, `{"a":"`, `-`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var into struct {
			A string   `json:"a,omitempty"`
			B int64    `json:"b,omitempty"`
			C float64  `json:"c,omitempty"`
			D []*bool  `json:"d,omitempty"`
			E *float32 `json:"e"`
		}
		if err := Decode(data, &into); err == nil && !json.Valid(data) {
			t.Fatalf("%q was read as %+v, and is not JSON", data, into)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	data := []byte(`{"account":"account-17","cents":12345,"at":"2026-01-01","region":"north"}`)
	type event struct {
		Account string `json:"account"`
		Cents   int64  `json:"cents"`
	}
	b.Run("strict", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var e event
			_ = Decode(data, &e)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var e event
			_ = json.Unmarshal(data, &e)
		}
	})
}
