package lanterntest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lantern.dev/sdk-go/lantern"
	"lantern.dev/sdk-go/projection"
)

// Projection is a projection or a process manager under test, with the rows that it has written.
type Projection struct {
	t      testing.TB
	memory *memory
	runner *lantern.Runner
	batch  batch
}

// NewProjection is a projection with empty tables. The test fails if a host would refuse it.
func NewProjection(t testing.TB, p projection.Projection) *Projection {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	memory := newMemory()
	return &Projection{t, memory, lantern.NewRunner(memory, p.Apply), newBatch(p.Manifest)}
}

// Apply applies events as one batch. The test fails if they cannot be applied.
func (p *Projection) Apply(events ...Event) *Projection {
	p.t.Helper()
	if err := p.Try(events...); err != nil {
		p.t.Fatalf("the events cannot be applied: %v", err)
	}
	return p
}

// Try applies events as one batch. After an error nothing of the batch is left behind.
func (p *Projection) Try(events ...Event) error {
	p.t.Helper()
	restore := p.memory.snapshot()
	writes, failed := p.runner.Apply(p.batch.frame(p.t, events))
	if failed == nil {
		_, err := p.memory.Apply(writes)
		if err == nil {
			return nil
		}
		failed = lantern.AsError(err)
	}
	restore()
	return failed
}

// OnQuery says what SQL of the projection's own answers: rows of nil, int64, float64, string or []byte.
func (p *Projection) OnQuery(sql string, answer func(params ...any) [][]any) *Projection {
	p.memory.answers[sql] = answer
	return p
}

// Executed are the statements that the projection has executed by SQL of its own.
func (p *Projection) Executed() []Statement { return p.memory.executed }

// Rows are the rows of a table, in the order in which they were first written. Columns that were never written are nil: the
// schema's defaults are not known here.
func (p *Projection) Rows(of *lantern.Table) []Row {
	var rows []Row
	t := p.memory.table(of.Name)
	for nth, key := range t.order {
		// A row that was deleted and made anew stands where it was made last.
		if row, ok := t.rows[key]; ok && !slices.Contains(t.order[nth+1:], key) {
			rows = append(rows, maps.Clone(row))
		}
	}
	return rows
}

// ExpectRows fails the test unless the table has these rows, in any order. Of each row, the columns are compared that it names.
func (p *Projection) ExpectRows(of *lantern.Table, expected ...Row) {
	p.t.Helper()
	found := p.Rows(of)
	left := slices.Clone(found)
	ok := len(found) == len(expected)
	for _, row := range expected {
		at := slices.IndexFunc(left, func(other Row) bool { return matches(row, other) })
		if at < 0 {
			ok = false
			break
		}
		left = slices.Delete(left, at, at+1)
	}
	if !ok {
		p.t.Errorf("the rows of %s are\n%sexpected\n%s", of.Name, render(found), render(expected))
	}
}

func matches(expected, found Row) bool {
	for column, value := range expected {
		other, ok := found[column]
		if !ok || !reflect.DeepEqual(plain(value), other) {
			return false
		}
	}
	return true
}

// plain is a value as SQLite has it.
func plain(value any) any {
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return int64(v.Uint())
	case reflect.Bool:
		if v.Bool() {
			return int64(1)
		}
		return int64(0)
	case reflect.String:
		return v.String()
	case reflect.Float32, reflect.Float64:
		return v.Float()
	}
	return value
}

func render(rows []Row) string {
	var text strings.Builder
	for _, row := range rows {
		for _, column := range slices.Sorted(maps.Keys(row)) {
			fmt.Fprintf(&text, "  %s=%#v", column, plain(row[column]))
		}
		text.WriteString("\n")
	}
	if len(rows) == 0 {
		return "  none\n"
	}
	return text.String()
}

// Sent is a command that waits to be sent.
type Sent struct {
	Key, Aggregate, ID, Command string
	// Data is the command's, as JSON.
	Data json.RawMessage
	// Due is the zero time if it is sent at once.
	Due time.Time
}

// Sent are the commands that the process manager has sent and not taken back.
func (p *Projection) Sent() []Sent {
	var all []Sent
	for _, row := range p.Rows(&lantern.Table{Name: "_lantern_outbox"}) {
		text := func(column string) string { s, _ := row[column].(string); return s }
		sent := Sent{Key: text("key"), Aggregate: text("aggregate"), ID: text("id"), Command: text("command")}
		sent.Data, _ = row["payload"].([]byte)
		if due, ok := row["due_ms"].(int64); ok {
			sent.Due = time.UnixMilli(due).UTC()
		}
		all = append(all, sent)
	}
	return all
}

// ExpectSent fails the test unless these commands wait to be sent, in this order.
func (p *Projection) ExpectSent(expected ...Sent) {
	p.t.Helper()
	found := p.Sent()
	ok := len(found) == len(expected)
	for nth := range min(len(found), len(expected)) {
		left, right := found[nth], expected[nth]
		ok = ok && sameJSON(left.Data, right.Data)
		left.Data, right.Data = nil, nil
		ok = ok && reflect.DeepEqual(left, right)
	}
	if !ok {
		p.t.Errorf("sent is\n%sexpected\n%s", renderSent(found), renderSent(expected))
	}
}

func renderSent(all []Sent) string {
	var text strings.Builder
	for _, s := range all {
		fmt.Fprintf(&text, "  %s: %s %s %s %s", s.Key, s.Aggregate, s.ID, s.Command, s.Data)
		if !s.Due.IsZero() {
			fmt.Fprintf(&text, " due %s", s.Due.Format(time.RFC3339))
		}
		text.WriteString("\n")
	}
	return text.String()
}

func sameJSON(left, right []byte) bool {
	var l, r any
	if lantern.DecodeJSON(left, &l) != nil || lantern.DecodeJSON(right, &r) != nil {
		return string(left) == string(right)
	}
	return reflect.DeepEqual(l, r)
}
