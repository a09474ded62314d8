package frame

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
)

type vector struct {
	Name    string
	Frame   string
	Error   string
	Meaning json.RawMessage
	Written bool
}

func vectors(t testing.TB, kind string) []vector {
	path := filepath.Join("..", "..", "..", "wit", "vectors", kind+".json")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the vectors are part of Lantern's repository, not of this module: %s", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// The same bytes must mean the same in every language, and be refused for the same reason.
func TestEveryVectorIsReadAsItIsMeant(t *testing.T) {
	for _, kind := range []string{"events", "ops", "rows"} {
		for _, vector := range vectors(t, kind) {
			t.Run(kind+"/"+vector.Name, func(t *testing.T) {
				bytes, err := hex.DecodeString(vector.Frame)
				if err != nil {
					t.Fatal(err)
				}
				meaning, err := meaning(kind, bytes)
				var refused *Error
				if vector.Error != "" {
					if !errors.As(err, &refused) || string(refused.Code) != vector.Error {
						t.Fatalf("expected the error %q, got %v", vector.Error, err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				got, _ := json.Marshal(meaning)
				var left, right any
				_ = json.Unmarshal(got, &left)
				_ = json.Unmarshal(vector.Meaning, &right)
				if !reflect.DeepEqual(left, right) {
					t.Fatalf("read\n%s\nexpected\n%s", got, vector.Meaning)
				}
			})
		}
	}
}

// What this side writes the host reads, so it has to be what the host's own writer would give.
func TestWhatIsWrittenIsTheVectorsBytes(t *testing.T) {
	for _, kind := range []string{"events", "ops", "rows"} {
		for _, vector := range vectors(t, kind) {
			if !vector.Written || vector.Name == "columns of one name" {
				continue
			}
			bytes, _ := hex.DecodeString(vector.Frame)
			if written := rewrite(t, kind, bytes); hex.EncodeToString(written) != vector.Frame {
				t.Errorf("%s/%s: written\n%x\nexpected\n%s", kind, vector.Name, written, vector.Frame)
			}
		}
	}
}

func hexOf(bytes []byte) any {
	if bytes == nil {
		return nil
	}
	return hex.EncodeToString(bytes)
}

func meaning(kind string, bytes []byte) (any, error) {
	all := []any{}
	switch kind {
	case "events":
		events, err := ParseEvents(bytes)
		if err != nil {
			return nil, err
		}
		for item := range events.Len() {
			var event Event
			if err := events.Read(item, &event); err != nil {
				return nil, err
			}
			headers := []any{}
			for nth := range event.Headers() {
				name, value := event.Header(nth)
				headers = append(headers, []any{name, hexOf(value)})
			}
			all = append(all, map[string]any{
				"type": event.Type, "topic": event.Topic, "partition": event.Partition,
				"offset":       strconv.FormatInt(event.Offset, 10),
				"timestamp_ms": strconv.FormatInt(event.TimestampMs, 10),
				"key":          hexOf(event.Key), "payload": hexOf(event.Payload), "headers": headers,
			})
		}
		return all, nil
	case "ops":
		ops, err := ParseOps(bytes)
		if err != nil {
			return nil, err
		}
		for item := range ops.Len() {
			op, err := ops.Op(item)
			if err != nil {
				return nil, err
			}
			values, err := meanings(op.Values)
			if err != nil {
				return nil, err
			}
			var event any
			if op.Event >= 0 {
				event = op.Event
			}
			all = append(all, map[string]any{"statement": op.Statement, "event": event, "values": values})
		}
		return all, nil
	}
	rows, err := ParseRows(bytes)
	if err != nil {
		return nil, err
	}
	for item := range rows.Len() {
		row, err := rows.Row(item)
		if err != nil {
			return nil, err
		}
		values, err := meanings(row)
		if err != nil {
			return nil, err
		}
		all = append(all, values)
	}
	return map[string]any{"columns": append([]string{}, rows.Columns()...), "rows": all}, nil
}

func meanings(values Values) ([]any, error) {
	all := []any{}
	for values.Len() > 0 {
		value, err := values.Next()
		if err != nil {
			return nil, err
		}
		switch value.Tag {
		case TagNull:
			all = append(all, nil)
		case TagInteger:
			all = append(all, map[string]any{"integer": strconv.FormatInt(value.Bits, 10)})
		case TagReal:
			all = append(all, map[string]any{"real": fmt.Sprintf("%016x", math.Float64bits(value.Real()))})
		case TagText:
			all = append(all, map[string]any{"text": string(value.Bytes)})
		case TagBlob:
			all = append(all, map[string]any{"blob": hex.EncodeToString(value.Bytes)})
		}
	}
	return all, nil
}

func rewrite(t *testing.T, kind string, bytes []byte) []byte {
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	switch kind {
	case "events":
		events, err := ParseEvents(bytes)
		must(err)
		var writer EventsWriter
		for item := range events.Len() {
			var event Event
			must(events.Read(item, &event))
			var headers []Header
			for nth := range event.Headers() {
				name, value := event.Header(nth)
				headers = append(headers, Header{name, value})
			}
			writer.Push(event, headers...)
		}
		return writer.Finish()
	case "ops":
		ops, err := ParseOps(bytes)
		must(err)
		var writer OpsWriter
		for item := range ops.Len() {
			op, err := ops.Op(item)
			must(err)
			count := op.Values.Len()
			writer.End(appendAll(t, writer.Begin(), op.Values), op.Statement, op.Event, count)
		}
		return writer.Finish(nil)
	}
	rows, err := ParseRows(bytes)
	must(err)
	var writer RowsWriter
	writer.Columns(rows.Columns()...)
	for item := range rows.Len() {
		row, err := rows.Row(item)
		must(err)
		count := row.Len()
		writer.End(appendAll(t, writer.Begin(), row), count)
	}
	return writer.Finish(nil)
}

func appendAll(t *testing.T, arena []byte, values Values) []byte {
	for values.Len() > 0 {
		value, err := values.Next()
		if err != nil {
			t.Fatal(err)
		}
		arena = value.Append(arena)
	}
	return arena
}

// A frame from outside may be anything: it is refused with an error, never with a panic, and what is read lies inside of it.
func fuzz(f *testing.F, kind string) {
	for _, vector := range vectors(f, kind) {
		bytes, _ := hex.DecodeString(vector.Frame)
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		if _, err := meaning(kind, bytes); err != nil {
			var refused *Error
			if !errors.As(err, &refused) {
				t.Fatalf("%v", err)
			}
		}
	})
}

func FuzzEvents(f *testing.F) { fuzz(f, "events") }

func FuzzOps(f *testing.F) { fuzz(f, "ops") }

func FuzzRows(f *testing.F) { fuzz(f, "rows") }
