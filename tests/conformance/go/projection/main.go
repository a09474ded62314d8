// The projection of tests/conformance/README.md, which says what each event does.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	insecure "math/rand"
	randv2 "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"lantern.dev/sdk-go/lantern"
	"lantern.dev/sdk-go/projection"
)

var (
	records = &lantern.Table{
		Name:    "records",
		Key:     []string{"topic", "partition", "position"},
		Columns: []string{"type", "timestamp_ms", "key", "payload", "trace"},
	}
	keys     = &lantern.Table{Name: "keys", Key: []string{"key"}, Columns: []string{"records", "last"}}
	vals     = &lantern.Table{Name: "vals", Key: []string{"id"}, Columns: []string{"i", "r", "bits", "t", "b"}}
	counters = &lantern.Table{
		Name:    "counters",
		Key:     []string{"account"},
		Columns: []string{"events", "sum", "largest", "smallest", "last"},
	}
	totals = &lantern.Table{Name: "totals", Key: []string{"id"}, Columns: []string{"rows", "sum", "list", "own"}}
	caught = &lantern.Table{Name: "caught", Key: []string{"position"}, Columns: []string{"kind", "message"}}
	words  = &lantern.Table{Name: "words", Key: []string{"id"}, Columns: []string{"list", "still"}}
)

func init() {
	projection.Export(projection.Projection{
		Manifest: lantern.Manifest{
			Name:        "conformance-go",
			Version:     "1.0.0",
			Description: "What every SDK must do the same",
			Topics:      []string{"conformance"},
			AllHeaders:  true,
			Envelope:    lantern.TypeInHeader("type"),
			Sends:       []string{"counter"},
			Queries: []lantern.Query{{
				Name: "counter", SQL: "SELECT * FROM counters WHERE account = :account", Description: "One counter",
			}},
			Schema: []string{
				"CREATE TABLE records (topic TEXT, partition INTEGER, position INTEGER, type TEXT NOT NULL, timestamp_ms INTEGER NOT NULL, key BLOB, payload BLOB, trace BLOB, PRIMARY KEY (topic, partition, position))",
				"CREATE TABLE keys (key BLOB PRIMARY KEY, records INTEGER NOT NULL, last INTEGER)",
				"CREATE TABLE vals (id PRIMARY KEY, i, r, bits, t, b)",
				"CREATE TABLE counters (account TEXT PRIMARY KEY, events INTEGER, sum INTEGER, largest INTEGER, smallest INTEGER, last INTEGER)",
				"CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER, note TEXT DEFAULT 'none')",
				"CREATE TABLE reads (partition INTEGER, position INTEGER, step INTEGER, found INTEGER NOT NULL, n INTEGER, note TEXT, PRIMARY KEY (partition, position, step))",
				"CREATE TABLE sums (id TEXT PRIMARY KEY, n INTEGER NOT NULL)",
				"CREATE TABLE totals (id TEXT PRIMARY KEY, rows INTEGER, sum INTEGER, list TEXT, own INTEGER)",
				"CREATE TABLE caught (position INTEGER PRIMARY KEY, kind TEXT, message TEXT)",
				"CREATE TABLE words (id TEXT PRIMARY KEY, list TEXT, still INTEGER)",
				"CREATE TABLE ones (n INTEGER NOT NULL CHECK (n = 1))",
			},
		},
		Apply: apply,
	})
}

func main() {}

func apply(event *lantern.Event, db *lantern.DB) error {
	switch event.Type() {
	case "Record":
		return record(event, db)
	case "Values":
		return values(event, db)
	case "Count":
		return count(event, db)
	case "Row":
		return row(event, db)
	case "Sql":
		return sql(event, db)
	case "Caught":
		return catch(event, db)
	case "Words":
		return countWords(event, db)
	case "Send":
		return send(event, db)
	case "Cancel":
		return cancel(event, db)
	case "Log":
		return say(event)
	case "Fail":
		return fail(event, db)
	}
	return nil
}

func record(event *lantern.Event, db *lantern.DB) error {
	db.Put(records, event.Topic(), event.Partition(), event.Offset(),
		event.Type(), event.TimestampMs(), event.Key(), event.Payload(), event.Header("trace"))
	if key := event.Key(); key != nil {
		db.Upsert(keys, key).Add("records", 1).Set("last", event.Offset())
	}
	return nil
}

func values(event *lantern.Event, db *lantern.DB) error {
	e, err := lantern.Decode[struct {
		ID   string   `json:"id"`
		I    *int64   `json:"i,required"`
		R    *float64 `json:"r,required"`
		Bits *string  `json:"bits,required"`
		T    *string  `json:"t,required"`
		B    *string  `json:"b,required"`
	}](event)
	if err != nil {
		return err
	}
	var bits *float64
	if e.Bits != nil {
		n, err := strconv.ParseUint(*e.Bits, 16, 64)
		if err != nil {
			return event.BadInput("bits: %w", err)
		}
		real := math.Float64frombits(n)
		bits = &real
	}
	var blob []byte
	if e.B != nil {
		if blob, err = hex.DecodeString(*e.B); err != nil {
			return event.BadInput("b: %w", err)
		}
	}
	db.Put(vals, e.ID, e.I, e.R, bits, e.T, blob)
	return nil
}

func count(event *lantern.Event, db *lantern.DB) error {
	e, err := lantern.Decode[struct {
		Account string `json:"account"`
		N       int64  `json:"n"`
	}](event)
	if err != nil {
		return err
	}
	db.Upsert(counters, e.Account).
		Add("events", 1).
		Add("sum", e.N).
		Max("largest", e.N).
		Min("smallest", e.N).
		Set("last", e.N)
	return nil
}

func sql(event *lantern.Event, db *lantern.DB) error {
	e, err := lantern.Decode[struct {
		ID string `json:"id"`
		N  int64  `json:"n"`
	}](event)
	if err != nil {
		return err
	}
	db.Upsert(counters, e.ID).Add("sum", e.N)
	err = db.Execute("INSERT INTO sums (id, n) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET n = n + excluded.n", e.ID, e.N)
	if err != nil {
		return err
	}
	rows, err := db.Query("SELECT id, n FROM sums ORDER BY n DESC, id")
	if err != nil {
		return err
	}
	var sum int64
	var list []string
	for row := range rows.All() {
		var id string
		var n int64
		if err := row.Scan(&id, &n); err != nil {
			return err
		}
		sum += n
		list = append(list, fmt.Sprintf("%s=%d", id, n))
	}
	own, _, err := lantern.QueryValue[*int64](db, "SELECT sum FROM counters WHERE account = ?1", e.ID)
	if err != nil {
		return err
	}
	db.Put(totals, "all", rows.Len(), sum, strings.Join(list, ","), own)
	return nil
}

func catch(event *lantern.Event, db *lantern.DB) error {
	e, err := lantern.Decode[struct {
		Which string `json:"which"`
	}](event)
	if err != nil {
		return err
	}
	switch e.Which {
	case "missing":
		_, err = db.Query("SELECT n FROM missing")
	case "overflow":
		_, err = db.Query("SELECT abs(?1)", int64(math.MinInt64))
	case "pragma":
		_, err = db.Query("PRAGMA user_version = 2")
	default:
		return event.BadInput("%q is none of the statements", e.Which)
	}
	var refused *lantern.Error
	if !errors.As(err, &refused) {
		return errors.New("SQLite has not refused it")
	}
	db.Put(caught, event.Offset(), refused.Fault.String(), refused.Message)
	return nil
}

func countWords(event *lantern.Event, db *lantern.DB) error {
	e, err := lantern.Decode[struct {
		ID   string `json:"id"`
		Text string `json:"text"`
	}](event)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, word := range strings.Split(e.Text, " ") {
		counts[word]++
	}
	var list []string
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s=%d", word, counts[word]))
	}
	db.Put(words, e.ID, strings.Join(list, ","), time.Now().Unix() == 0)
	return nil
}

// Add is the command that is sent.
type Add struct {
	N int64 `json:"n"`
}

func send(event *lantern.Event, db *lantern.DB) error {
	e, err := lantern.Decode[struct {
		ID  string `json:"id"`
		N   int64  `json:"n"`
		Due *int64 `json:"due,required"`
	}](event)
	if err != nil {
		return err
	}
	command := lantern.Command{Aggregate: "counter", ID: e.ID, Data: Add{e.N}}
	if e.Due != nil {
		command.Due = time.UnixMilli(*e.Due)
	}
	db.Send(event, "send/"+e.ID, command)
	return nil
}

func cancel(event *lantern.Event, db *lantern.DB) error {
	e, err := lantern.Decode[struct {
		ID string `json:"id"`
	}](event)
	if err != nil {
		return err
	}
	db.Cancel("send/" + e.ID)
	return nil
}

func say(event *lantern.Event) error {
	e, err := lantern.Decode[struct {
		Text string `json:"text"`
	}](event)
	if err != nil {
		return err
	}
	lantern.Warnf("%s", e.Text)
	return nil
}

func chance() string {
	var secret [8]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x %d %d", secret, insecure.Int63(), randv2.Int64())
}

func fail(event *lantern.Event, db *lantern.DB) error {
	e, err := lantern.Decode[struct {
		How string `json:"how"`
	}](event)
	if err != nil {
		return err
	}
	db.Upsert(counters, "failed").Add("events", 1)
	violate := func() error { return db.Execute("INSERT INTO ones (n) VALUES (?1)", 2) }
	switch e.How {
	case "bad-input":
		return event.BadInput("refused by the domain")
	case "other":
		return errors.New("an ordinary error")
	case "unknown":
		return db.Execute("INSERT INTO missing (n) VALUES (1)")
	case "late":
		return violate()
	case "query":
		if err := violate(); err != nil {
			return err
		}
		_, err := db.Query("SELECT count(*) FROM ones")
		return err
	case "crash":
		panic("boom")
	case "recursion":
		return event.BadInput("%d", recurse(0))
	case "random":
		return event.BadInput("random: %s", chance())
	}
	return event.BadInput("%q is no way to fail", e.How)
}

func recurse(depth int) int {
	return len(fmt.Sprint(depth)) + recurse(depth+1)
}
