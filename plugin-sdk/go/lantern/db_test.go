package lantern_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"lantern.dev/sdk-go/lantern"
	"lantern.dev/sdk-go/lanterntest"
	"lantern.dev/sdk-go/projection"
)

var table = &lantern.Table{Name: "rows", Key: []string{"id"}, Columns: []string{"n", "note"}}

func applying(apply func(event *lantern.Event, db *lantern.DB) error) projection.Projection {
	return projection.Projection{
		Manifest: lantern.Manifest{Name: "test", Topics: []string{"topic"}, Sends: []string{"account"}},
		Apply:    apply,
	}
}

func event(payload string) lanterntest.Event {
	return lanterntest.Event{Type: "Event", Payload: []byte(payload)}
}

// Batches are cut differently in a replay. What is gathered over a batch must give the rows that writing at once gives.
func TestHowBatchesAreCutLeavesNoTrace(t *testing.T) {
	operations := []func(db *lantern.DB, id string, n int64){
		func(db *lantern.DB, id string, n int64) { db.Put(table, id, n, "put") },
		func(db *lantern.DB, id string, n int64) { db.Upsert(table, id).Add("n", n) },
		func(db *lantern.DB, id string, n int64) { db.Upsert(table, id).Max("n", n) },
		func(db *lantern.DB, id string, n int64) { db.Upsert(table, id).Min("n", n) },
		func(db *lantern.DB, id string, n int64) { db.Upsert(table, id).Set("n", n) },
		func(db *lantern.DB, id string, _ int64) { db.Upsert(table, id).Set("n", nil) },
		func(db *lantern.DB, id string, n int64) { db.Upsert(table, id).Set("note", fmt.Sprint("note ", n)) },
		func(db *lantern.DB, id string, _ int64) { db.Upsert(table, id) },
		func(db *lantern.DB, id string, n int64) { db.Update(table, id).Set("n", n).Add("n", 1) },
		func(db *lantern.DB, id string, n int64) { db.Update(table, id).Add("n", n) },
		func(db *lantern.DB, id string, _ int64) { db.Delete(table, id) },
		func(db *lantern.DB, id string, n int64) { db.Upsert(table, id).Add("n", n).Max("n", 0).Min("n", 5) },
		func(db *lantern.DB, id string, _ int64) {
			row, found, err := db.Get(table, id)
			var n *int64
			if err == nil && found {
				err = row.Scan(&n)
			}
			db.Upsert(table, "read").Set("note", fmt.Sprint(found, n != nil, err))
			if n != nil {
				db.Upsert(table, "read").Set("n", *n)
			}
		},
	}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		var steps []string
		for range 1 + random.IntN(30) {
			steps = append(steps, fmt.Sprintf("[%d,%d,%d]", random.IntN(len(operations)), random.IntN(3), random.IntN(9)-4))
		}
		apply := applying(func(event *lantern.Event, db *lantern.DB) error {
			step, err := lantern.Decode[[3]int64](event)
			if err == nil {
				operations[step[0]](db, fmt.Sprint("id-", step[1]), step[2])
			}
			return err
		})
		whole, single := lanterntest.NewProjection(t, apply), lanterntest.NewProjection(t, apply)
		var batch []lanterntest.Event
		for _, step := range steps {
			batch = append(batch, event(step))
			single.Apply(event(step))
		}
		whole.Apply(batch...)
		single.ExpectRows(table, whole.Rows(table)...)
		if t.Failed() {
			t.Fatalf("seed %d: %v", seed, steps)
		}
	}
}

// What is refused must say which event it was, and leave nothing behind.
func TestAFailureNamesItsEventAndLeavesNothingBehind(t *testing.T) {
	failures := map[string]func(event *lantern.Event, db *lantern.DB) error{
		"bad-input: topic/0@2 (Event): no":            func(e *lantern.Event, _ *lantern.DB) error { return e.BadInput("no") },
		"other: an ordinary error":                    func(*lantern.Event, *lantern.DB) error { return errors.New("an ordinary error") },
		"bad-input: while reading: topic/0@2":         func(e *lantern.Event, _ *lantern.DB) error { return fmt.Errorf("while reading: %w", e.BadInput("no")) },
		"other: panic: boom":                          func(*lantern.Event, *lantern.DB) error { panic("boom") },
		"other: panic: runtime error: index out":      func(*lantern.Event, *lantern.DB) error { var none []int; none[0]++; return nil },
		`other: the table rows declares no column "x`: func(_ *lantern.Event, db *lantern.DB) error { db.Upsert(table, "id").Set("x", 1); return nil },
		"other: a key of rows has the parts":          func(_ *lantern.Event, db *lantern.DB) error { db.Upsert(table, "id", 1); return nil },
		"other: id of rows is a key":                  func(_ *lantern.Event, db *lantern.DB) error { db.Upsert(table, 1.5); return nil },
		"other: a row of rows was entered before": func(_ *lantern.Event, db *lantern.DB) error {
			row := db.Upsert(table, "id").Add("n", 1)
			// It is not known as a whole, so it is written before it is read.
			if _, _, err := db.Get(table, "id"); err != nil {
				return err
			}
			db.Upsert(table, "other")
			row.Add("n", 1)
			return nil
		},
		"other: 2 values were put into rows":        func(_ *lantern.Event, db *lantern.DB) error { db.Put(table, "id", 1); return nil },
		"other: SQLite has no value for a chan int": func(_ *lantern.Event, db *lantern.DB) error { db.Put(table, "id", 1, make(chan int)); return nil },
		"bad-input: 18446744073709551615 is above": func(_ *lantern.Event, db *lantern.DB) error {
			db.Put(table, "id", uint64(math.MaxUint64), 1)
			return nil
		},
		"bad-input: a text is not UTF-8":                  func(_ *lantern.Event, db *lantern.DB) error { db.Put(table, "id", 1, "\xff"); return nil },
		"unsupported: there is no SQLite":                 func(_ *lantern.Event, db *lantern.DB) error { _, err := db.Query("SELECT 1"); return err },
		"bad-input: topic/0@2 (Event): it is a tombstone": func(e *lantern.Event, _ *lantern.DB) error { return e.BadInput("it is a tombstone") },
	}
	for expected, fail := range failures {
		p := lanterntest.NewProjection(t, applying(func(event *lantern.Event, db *lantern.DB) error {
			db.Upsert(table, "kept").Add("n", 1)
			if string(event.Payload()) == "fail" {
				return fail(event, db)
			}
			return nil
		}))
		err := p.Apply(event("")).Try(event(""), event("fail"))
		var failed *lantern.Error
		if !errors.As(err, &failed) || !strings.HasPrefix(failed.Fault.String()+": "+failed.Message, expected) {
			t.Errorf("expected %q, got %v", expected, err)
			continue
		}
		if index, known := failed.Event(); !known || index != 1 {
			t.Errorf("%s: the event at fault is %d", expected, index)
		}
		p.ExpectRows(table, lanterntest.Row{"id": "kept", "n": 1})
		p.Apply(event("")).ExpectRows(table, lanterntest.Row{"id": "kept", "n": 2})
	}
}

func TestAPanicArrivesWithItsStack(t *testing.T) {
	p := lanterntest.NewProjection(t, applying(func(*lantern.Event, *lantern.DB) error { panic("boom") }))
	if err := p.Try(event("")); err == nil || !strings.Contains(err.Error(), "TestAPanicArrivesWithItsStack") {
		t.Error(err)
	}
}

// Rows are compared between languages byte by byte, so a value must be of one kind of SQLite's, whatever Go calls it.
func TestEveryValueIsOneOfSQLites(t *testing.T) {
	type named string
	text, number := "text", int64(math.MinInt64)
	values := []struct{ in, out any }{
		{nil, nil}, {true, int64(1)}, {int8(-1), int64(-1)}, {uint32(7), int64(7)}, {number, number}, {&number, number},
		{(*int64)(nil), nil}, {1.0, 1.0}, {float32(0.5), 0.5}, {math.NaN(), nil}, {math.Inf(-1), math.Inf(-1)},
		{"", ""}, {"a\x00ü", "a\x00ü"}, {named("n"), "n"}, {&text, text}, {[]byte(nil), nil}, {[]byte{}, []byte{}}, {[]byte{0, 255}, []byte{0, 255}},
	}
	p := lanterntest.NewProjection(t, applying(func(_ *lantern.Event, db *lantern.DB) error {
		for nth, value := range values {
			db.Put(table, nth, value.in, value.in)
			row, _, err := db.Get(table, nth)
			if err != nil {
				return err
			}
			if found, err := lantern.Column[any](row, "n"); err != nil || !reflect.DeepEqual(found, value.out) {
				t.Errorf("%#v was read as %#v, %v", value.in, found, err)
			}
		}
		return nil
	})).Apply(event(""))
	for nth, row := range p.Rows(table) {
		if !reflect.DeepEqual(row["note"], values[nth].out) {
			t.Errorf("%#v was written as %#v", values[nth].in, row["note"])
		}
	}
}

func TestWhatDoesNotFitIsNotRead(t *testing.T) {
	lanterntest.NewProjection(t, applying(func(_ *lantern.Event, db *lantern.DB) error {
		db.Put(table, "id", 300, nil)
		row, _, _ := db.Get(table, "id")
		check := func(into any, message string) {
			if err := row.Scan(into); err == nil || !strings.Contains(err.Error(), message) {
				t.Errorf("%T: expected %q, got %v", into, message, err)
			}
		}
		check(new(int8), "column n: it is the integer 300, which is no int8")
		check(new(string), "which is no string")
		check(new(bool), "which is no bool")
		check(new([]byte), "which is no []uint8")
		check(5, "read into a pointer, not into a int")
		if _, err := lantern.Column[int64](row, "note"); err == nil || !strings.Contains(err.Error(), "column note: it is NULL") {
			t.Error(err)
		}
		if _, err := lantern.Column[int64](row, "x"); err == nil || !strings.Contains(err.Error(), `no column "x"`) {
			t.Error(err)
		}
		var n float64
		var note *string
		if err := row.Scan(&n, &note); err != nil || n != 300 || note != nil {
			t.Error(n, note, err)
		}
		return nil
	})).Apply(event(""))
}

func TestSQLOfTheProjectionsOwnIsAnswered(t *testing.T) {
	p := lanterntest.NewProjection(t, applying(func(_ *lantern.Event, db *lantern.DB) error {
		sum, found, err := lantern.QueryValue[int64](db, "SELECT sum(n) FROM rows WHERE n > ?1", 5)
		if err != nil {
			return err
		}
		return db.Execute("INSERT INTO sums VALUES (?1, ?2)", sum, found)
	}))
	p.OnQuery("SELECT sum(n) FROM rows WHERE n > ?1", func(params ...any) [][]any {
		return [][]any{{params[0].(int64) * 2}}
	})
	executed := p.Apply(event("")).Executed()
	expected := []lanterntest.Statement{{SQL: "INSERT INTO sums VALUES (?1, ?2)", Params: []any{int64(10), int64(1)}}}
	if !reflect.DeepEqual(executed, expected) {
		t.Errorf("%v", executed)
	}
}

// What a process manager sends says what it was caused by, and is sent once for each key.
func TestWhatIsSentSaysItsCause(t *testing.T) {
	type Deposit struct {
		Cents int64 `json:"cents"`
	}
	p := lanterntest.NewProjection(t, applying(func(event *lantern.Event, db *lantern.DB) error {
		switch event.Type() {
		case "Cancel":
			db.Cancel("later")
		default:
			db.Send(event, "now", lantern.Command{Aggregate: "account", ID: "ada", Data: Deposit{5}})
			db.Send(event, "later", lantern.Command{Aggregate: "account", ID: "ada", Name: "Remind", Due: event.Time().Add(time.Hour)})
		}
		return nil
	}))
	p.Apply(lanterntest.Event{Type: "Begin", Headers: []lanterntest.Header{{Name: "ce_id", Value: "e-1"}}})
	now := lanterntest.Sent{Key: "now", Aggregate: "account", ID: "ada", Command: "Deposit", Data: []byte(`{"cents":5}`)}
	later := lanterntest.Sent{Key: "later", Aggregate: "account", ID: "ada", Command: "Remind", Data: []byte(`{}`),
		Due: time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)}
	p.ExpectSent(now, later)
	row := p.Rows(&lantern.Table{Name: "_lantern_outbox"})[0]
	if row["correlation"] != "e-1" || row["causation"] != "e-1" {
		t.Errorf("%v", row)
	}
	p.Apply(lanterntest.Event{Type: "Cancel"}).ExpectSent(now)
}

// Rows that are gathered must cost no memory each, or the collector takes the time that gathering saves.
func TestARowIsWrittenWithoutAllocating(t *testing.T) {
	type amount struct {
		Account string `json:"account"`
		Cents   int64  `json:"cents"`
	}
	var db *lantern.DB
	var one *lantern.Event
	measured := false
	lanterntest.NewProjection(t, applying(func(e *lantern.Event, into *lantern.DB) error {
		one, db = e, into
		allocations := testing.AllocsPerRun(100, func() {
			a, err := lantern.Decode[amount](one)
			if err != nil {
				t.Error(err)
			}
			db.Upsert(table, a.Account).Add("n", a.Cents).Set("note", a.Account)
		})
		measured = true
		if allocations > 0 {
			t.Errorf("%v allocations", allocations)
		}
		return nil
	})).Apply(event(`{"account":"account-1","cents":70000}`))
	if !measured {
		t.Error("nothing was measured")
	}
}
