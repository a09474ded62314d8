package lanterntest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"lantern.dev/sdk-go/aggregate"
	"lantern.dev/sdk-go/internal/frame"
	"lantern.dev/sdk-go/lantern"
)

// Aggregate is an aggregate under test, to which events have happened.
type Aggregate[State, Command, Event any] struct {
	t         testing.TB
	aggregate aggregate.Aggregate[State, Command, Event]
	handler   aggregate.Handler
	state     []byte
	version   int64
	id        string
	timeMs    int64
}

// NewAggregate is an aggregate to which nothing has happened. The test fails if a host would refuse it.
func NewAggregate[State, Command, Event any](t testing.TB, a aggregate.Aggregate[State, Command, Event]) *Aggregate[State, Command, Event] {
	t.Helper()
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	return &Aggregate[State, Command, Event]{t: t, aggregate: a, handler: aggregate.HandlerOf(a), id: "id"}
}

// Given has these events happen.
func (a *Aggregate[State, Command, Event]) Given(events ...Event) *Aggregate[State, Command, Event] {
	a.t.Helper()
	var writer frame.EventsWriter
	for _, event := range events {
		data, err := lantern.EncodeJSON(event)
		if err != nil {
			a.t.Fatalf("the event %T has no JSON: %v", event, err)
		}
		writer.Push(frame.Event{
			Type: lantern.NameOf(event), Topic: a.aggregate.Manifest.Topics[0], Offset: a.version, Key: []byte(a.id), Payload: data,
		})
		a.version++
	}
	state, failed := a.handler.EvolveFrame(a.state, writer.Finish())
	if failed != nil {
		a.t.Fatalf("the events cannot be applied: %v", failed)
	}
	a.state = state
	return a
}

// ID says which of the aggregates it is, where that matters.
func (a *Aggregate[State, Command, Event]) ID(id string) *Aggregate[State, Command, Event] {
	a.id = id
	return a
}

// At is the time of the decision, where that matters.
func (a *Aggregate[State, Command, Event]) At(time time.Time) *Aggregate[State, Command, Event] {
	a.timeMs = time.UnixMilli()
	return a
}

// State is what the events have led to.
func (a *Aggregate[State, Command, Event]) State() State {
	a.t.Helper()
	var state State
	if a.state == nil {
		return state
	}
	if err := lantern.DecodeJSON(a.state, &state); err != nil {
		a.t.Fatal(err)
	}
	return state
}

// When decides a command.
func (a *Aggregate[State, Command, Event]) When(command Command) *Outcome[Event] {
	a.t.Helper()
	payload, err := lantern.EncodeJSON(command)
	if err != nil {
		a.t.Fatalf("the command %T has no JSON: %v", command, err)
	}
	var writer frame.RowsWriter
	writer.Columns("aggregate", "id", "version", "state", "command", "payload", "time_ms", "correlation")
	arena := frame.AppendText(writer.Begin(), a.aggregate.Manifest.Name)
	arena = frame.AppendText(arena, a.id)
	arena = frame.AppendInteger(arena, a.version)
	if a.version == 0 {
		arena = frame.AppendNull(arena)
	} else {
		arena = frame.AppendBlob(arena, a.state)
	}
	arena = frame.AppendText(arena, lantern.NameOf(command))
	arena = frame.AppendBlob(arena, payload)
	arena = frame.AppendInteger(arena, a.timeMs)
	writer.End(frame.AppendNull(arena), 8)
	events, rejection, failed := a.handler.DecideFrame(writer.Finish(nil))
	o := &Outcome[Event]{t: a.t, rejection: rejection, failed: failed}
	if failed == nil && rejection == nil {
		o.read(events)
	}
	return o
}

// Outcome is what was decided about a command.
type Outcome[Event any] struct {
	t         testing.TB
	events    []happened
	rejection *aggregate.Rejection
	failed    *lantern.Error
}

type happened struct {
	name string
	data []byte
}

func (o *Outcome[Event]) read(events []byte) {
	o.t.Helper()
	rows, err := frame.ParseRows(events)
	if err != nil {
		o.t.Fatal(err)
	}
	for item := range rows.Len() {
		row, err := rows.Row(item)
		if err != nil {
			o.t.Fatal(err)
		}
		values, _, err := read(row)
		if err != nil {
			o.t.Fatal(err)
		}
		o.events = append(o.events, happened{values[0].(string), values[1].([]byte)})
	}
}

// Then fails the test unless exactly these events happen, in this order; none means that nothing has to.
func (o *Outcome[Event]) Then(expected ...Event) {
	o.t.Helper()
	var all []happened
	for _, event := range expected {
		data, err := lantern.EncodeJSON(event)
		if err != nil {
			o.t.Fatalf("the event %T has no JSON: %v", event, err)
		}
		all = append(all, happened{lantern.NameOf(event), data})
	}
	if o.failed != nil || o.rejection != nil || !reflect.DeepEqual(o.events, all) {
		o.t.Errorf("decided was %s, expected %s", o, renderEvents(all))
	}
}

// ThenRejected fails the test unless the domain says no with this code.
func (o *Outcome[Event]) ThenRejected(code string) {
	o.t.Helper()
	if o.rejection == nil || o.rejection.Code != code {
		o.t.Errorf("decided was %s, expected the rejection %s", o, code)
	}
}

// ThenFails fails the test unless the command fails with these words in its message.
func (o *Outcome[Event]) ThenFails(words string) {
	o.t.Helper()
	if o.failed == nil || !strings.Contains(o.failed.Message, words) {
		o.t.Errorf("decided was %s, expected a failure with %q", o, words)
	}
}

// Rejection is what the domain has said; nil if it has not said no.
func (o *Outcome[Event]) Rejection() *aggregate.Rejection { return o.rejection }

// String says what was decided.
func (o *Outcome[Event]) String() string {
	switch {
	case o.failed != nil:
		return "a failure: " + o.failed.Message
	case o.rejection != nil:
		return "a rejection: " + o.rejection.Error()
	}
	return renderEvents(o.events)
}

func renderEvents(events []happened) string {
	if len(events) == 0 {
		return "nothing"
	}
	var all []string
	for _, event := range events {
		all = append(all, event.name+" "+string(json.RawMessage(event.data)))
	}
	return strings.Join(all, ", ")
}
