// Package upcaster makes a plugin that is an upcaster: old events in, events of today out, between the log and whoever reads a
// topic.
//
// An upcaster is a value and a function. It is exported by an init function, since a plugin has no main that would run:
//
//	func init() { upcaster.Export(Accounts) }
//
//	func main() {}
//
// A plugin is of one kind, so a program imports only one of projection, aggregate and upcaster.
package upcaster

import (
	"errors"
	"fmt"

	"lantern.dev/sdk-go/internal/frame"
	"lantern.dev/sdk-go/lantern"
)

// Upcaster makes old events events of today.
type Upcaster struct {
	// Manifest has a Name, at least one topic, and the types that it upgrades; beside them a StateVersion at most.
	Manifest lantern.Manifest
	// Upcast is given events of these types only, and answers what an event is today. It must depend on nothing but the event.
	Upcast func(event *lantern.Event) (Event, error)
}

// Event is what an event is today: its type and its data. Everything else of it stays as it is. Make one by [To], [Rename] or
// [Tombstone].
type Event struct {
	// Type is the event's type.
	Type string
	// Payload is its data as bytes; nil is a tombstone.
	Payload []byte
	err     error
}

// To is an event of this type with its data, written as JSON.
func To(typ string, data any) Event {
	payload, err := lantern.EncodeJSON(data)
	return Event{Type: typ, Payload: payload, err: err}
}

// Rename is an event of another type with the same data, byte for byte.
func Rename(event *lantern.Event, typ string) Event {
	return Event{Type: typ, Payload: event.Payload()}
}

// Tombstone is an event of this type without data.
func Tombstone(typ string) Event { return Event{Type: typ} }

// Check says what a host would refuse.
func (u Upcaster) Check() error {
	m := u.Manifest
	if err := m.Check(); err != nil {
		return err
	}
	switch {
	case u.Upcast == nil:
		return errors.New("the upcaster has no Upcast: it would do nothing")
	case len(m.Types) == 0:
		return errors.New("the manifest's Types is empty: name the types that are upgraded")
	case len(m.Schema)+len(m.Queries)+len(m.Sends) > 0:
		return errors.New("the manifest's Schema, Queries or Sends is a projection's, and this is an upcaster: leave it out")
	}
	return nil
}

// UpcastFrame makes a frame of events one of rows, one for each event. Only the packages of this module need it.
func (u Upcaster) UpcastFrame(events []byte) ([]byte, *lantern.Error) {
	var writer frame.RowsWriter
	writer.Columns("type", "payload")
	failed := lantern.EachEvent(events, func(event *lantern.Event) error {
		upcasted, err := u.Upcast(event)
		if err != nil {
			return err
		}
		if upcasted.err != nil {
			return fmt.Errorf("%v: its new data has no JSON: %w", event, upcasted.err)
		}
		arena := frame.AppendText(writer.Begin(), upcasted.Type)
		if upcasted.Payload == nil {
			arena = frame.AppendNull(arena)
		} else {
			arena = frame.AppendBlob(arena, upcasted.Payload)
		}
		writer.End(arena, 2)
		return nil
	})
	if failed != nil {
		return nil, failed
	}
	return writer.Finish(nil), nil
}

// Export makes the upcaster the plugin that this program is. Natively it does nothing, so that a program can be tested.
func Export(u Upcaster) { export(u) }
