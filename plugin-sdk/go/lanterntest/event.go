// Package lanterntest tests plugins natively, by go test: given, when, then, without WebAssembly and without a host.
//
// Events and commands take the way that they take in the host: as frames, and as JSON. A projection's rows are kept in memory:
// what it writes by [lantern.Table] is there, while SQL of its own needs an answer, see [Projection.OnQuery]. What SQLite itself
// does (constraints, defaults, collations) is tested by the command `lantern test`.
package lanterntest

import (
	"testing"
	"time"

	"lantern.dev/sdk-go/internal/frame"
	"lantern.dev/sdk-go/lantern"
)

// Event is an event that a plugin is given.
type Event struct {
	// Type is the event's; if it is empty, that of Data's type, see [lantern.NameOf].
	Type string
	// Data is written as JSON; nil is an empty object.
	Data any
	// Payload is the data as bytes, instead of Data.
	Payload []byte
	// Tombstone is an event without data.
	Tombstone bool
	// Topic is the manifest's first, if it is empty.
	Topic     string
	Partition int32
	// Offset counts up by itself, if it is 0.
	Offset int64
	// Time is that of the event before, or 2026-01-01, if it is zero.
	Time time.Time
	// Key is none if it is empty.
	Key string
	// Headers are given in this order.
	Headers []Header
}

// Header is a header of an event.
type Header struct{ Name, Value string }

// A batch makes frames of events.
type batch struct {
	topic string
	next  int64
	time  time.Time
}

func newBatch(manifest lantern.Manifest) batch {
	b := batch{topic: "topic", time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if len(manifest.Topics) > 0 {
		b.topic = manifest.Topics[0]
	}
	return b
}

func (b *batch) frame(t testing.TB, events []Event) []byte {
	t.Helper()
	var writer frame.EventsWriter
	for _, event := range events {
		if event.Topic == "" {
			event.Topic = b.topic
		}
		if event.Type == "" {
			event.Type = lantern.NameOf(event.Data)
		}
		if event.Offset == 0 {
			event.Offset = b.next
		}
		b.next = event.Offset + 1
		if !event.Time.IsZero() {
			b.time = event.Time
		}
		raw := frame.Event{
			Type: event.Type, Topic: event.Topic, Partition: event.Partition, Offset: event.Offset,
			TimestampMs: b.time.UnixMilli(), Payload: event.payload(t),
		}
		if event.Key != "" {
			raw.Key = []byte(event.Key)
		}
		var headers []frame.Header
		for _, header := range event.Headers {
			headers = append(headers, frame.Header{Name: header.Name, Value: []byte(header.Value)})
		}
		writer.Push(raw, headers...)
	}
	return writer.Finish()
}

func (e Event) payload(t testing.TB) []byte {
	t.Helper()
	switch {
	case e.Tombstone:
		return nil
	case e.Payload != nil:
		return e.Payload
	}
	payload, err := lantern.EncodeJSON(e.Data)
	if err != nil {
		t.Fatalf("the data of %s has no JSON: %v", e.Type, err)
	}
	return payload
}
