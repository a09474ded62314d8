package lanterntest

import (
	"testing"

	"lantern.dev/sdk-go/internal/frame"
	"lantern.dev/sdk-go/upcaster"
)

// Upcast is what an event is today. The test fails if the upcaster fails.
func Upcast(t testing.TB, u upcaster.Upcaster, event Event) upcaster.Event {
	t.Helper()
	today, err := TryUpcast(t, u, event)
	if err != nil {
		t.Fatalf("the event cannot be upgraded: %v", err)
	}
	return today
}

// TryUpcast is what an event is today, or why that cannot be said.
func TryUpcast(t testing.TB, u upcaster.Upcaster, event Event) (upcaster.Event, error) {
	t.Helper()
	if err := u.Check(); err != nil {
		t.Fatal(err)
	}
	batch := newBatch(u.Manifest)
	bytes, failed := u.UpcastFrame(batch.frame(t, []Event{event}))
	if failed != nil {
		return upcaster.Event{}, failed
	}
	rows, err := frame.ParseRows(bytes)
	if err != nil {
		return upcaster.Event{}, err
	}
	row, err := rows.Row(0)
	if err != nil {
		return upcaster.Event{}, err
	}
	values, _, err := read(row)
	if err != nil {
		return upcaster.Event{}, err
	}
	payload, _ := values[1].([]byte)
	return upcaster.Event{Type: values[0].(string), Payload: payload}, nil
}
