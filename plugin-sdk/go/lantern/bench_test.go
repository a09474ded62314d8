package lantern_test

import (
	"fmt"
	"testing"

	"lantern.dev/sdk-go/internal/frame"
	"lantern.dev/sdk-go/lantern"
)

// BenchmarkApply applies batches to a database that takes everything. The profile that plugins are compiled with is made of it:
//
//	go test ./lantern -trimpath -run '^$' -bench Apply -benchtime 10s -cpuprofile default.pgo
func BenchmarkApply(b *testing.B) {
	counters := &lantern.Table{
		Name: "counters", Key: []string{"account"}, Columns: []string{"events", "sum", "largest", "smallest", "last"},
	}
	records := &lantern.Table{
		Name: "records", Key: []string{"topic", "partition", "position"}, Columns: []string{"type", "timestamp_ms", "key", "payload"},
	}
	keys := &lantern.Table{Name: "keys", Key: []string{"key"}, Columns: []string{"records", "last"}}
	runner := lantern.NewRunner(nothing{}, func(event *lantern.Event, db *lantern.DB) error {
		if event.Type() == "Record" {
			db.Put(records, event.Topic(), event.Partition(), event.Offset(),
				event.Type(), event.TimestampMs(), event.Key(), event.Payload())
			db.Upsert(keys, event.Key()).Add("records", 1).Set("last", event.Offset())
			return nil
		}
		count, err := lantern.Decode[struct {
			Account string `json:"account"`
			N       int64  `json:"n"`
		}](event)
		if err != nil {
			return err
		}
		db.Upsert(counters, count.Account).
			Add("events", 1).
			Add("sum", count.N).
			Max("largest", count.N).
			Min("smallest", count.N).
			Set("last", count.N)
		return nil
	})
	const events, accounts = 20_000, 1_000
	counts, bytes := frame.EventsWriter{}, frame.EventsWriter{}
	for at := range events {
		event := frame.Event{Topic: "topic", Offset: int64(at), TimestampMs: 1_700_000_000_000, Key: fmt.Appendf(nil, "key-%d", at%accounts)}
		event.Type, event.Payload = "Count", fmt.Appendf(nil, `{"account":"account-%d","n":%d}`, at*7%accounts, at-5_000)
		counts.Push(event)
		event.Type, event.Payload = "Record", fmt.Appendf(nil, "the payload of the event %d, as it is", at)
		bytes.Push(event)
	}
	for _, kind := range []struct {
		name  string
		frame []byte
	}{{"json", counts.Finish()}, {"bytes", bytes.Finish()}} {
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := runner.Apply(kind.frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// nothing is a database that takes everything and has nothing.
type nothing struct{}

func (nothing) Prepare(string) (uint32, error) { return 0, nil }

func (nothing) Apply([]byte) (uint32, error) { return 0, nil }

func (nothing) Query(uint32, []byte, uint32) ([]byte, error) { return nil, nil }
