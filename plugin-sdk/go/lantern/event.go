package lantern

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"lantern.dev/sdk-go/internal/frame"
	"lantern.dev/sdk-go/internal/strict"
)

// Event is one event of a topic. Nothing of it is decoded before it is asked for.
//
// It is valid until the function returns that it was given to. Its texts may be kept as long as you like; its bytes (key,
// payload, headers) are shared with them and must not be changed.
type Event struct {
	raw frame.Event
}

// Type is the event's type, as its envelope has it.
func (e *Event) Type() string { return e.raw.Type }

// Topic is the topic that it was read from.
func (e *Event) Topic() string { return e.raw.Topic }

// Partition is the partition of that topic.
func (e *Event) Partition() int32 { return e.raw.Partition }

// Offset is its place in that partition.
func (e *Event) Offset() int64 { return e.raw.Offset }

// TimestampMs is the record's time in Unix milliseconds; -1 when it has none. This is the only clock there is.
func (e *Event) TimestampMs() int64 { return e.raw.TimestampMs }

// Time is TimestampMs as a time of UTC; the zero time when it has none.
func (e *Event) Time() time.Time {
	if e.raw.TimestampMs < 0 {
		return time.Time{}
	}
	return time.UnixMilli(e.raw.TimestampMs).UTC()
}

// Index is its place in its batch, counted from 0.
func (e *Event) Index() int { return e.raw.Index }

// Key is the record's key: nil when it has none.
func (e *Event) Key() []byte { return e.raw.Key }

// KeyString is the record's key as text. It is an error when there is none, or it is not UTF-8.
func (e *Event) KeyString() (string, error) {
	if e.raw.Key == nil {
		return "", e.BadInput("it has no key")
	}
	return e.text("its key", e.raw.Key)
}

// Payload is the event's data as bytes: nil is a tombstone.
func (e *Event) Payload() []byte { return e.raw.Payload }

// IsTombstone says whether it has no data, which says that what its key names is gone.
func (e *Event) IsTombstone() bool { return e.raw.Payload == nil }

// Text is the event's data as text. It is an error when it has none, or it is not UTF-8.
func (e *Event) Text() (string, error) {
	data, err := e.data()
	if err != nil {
		return "", err
	}
	return e.text("its data", data)
}

// Header is the value of the first header of this name; nil where there is none, or it has no value. Only the headers
// that the manifest names are there.
func (e *Event) Header(name string) []byte {
	for nth := range e.raw.Headers() {
		if found, value := e.raw.Header(nth); found == name {
			return value
		}
	}
	return nil
}

// Decode reads the event's JSON into what a pointer points to, as [encoding/json] does by the same tags, with these
// differences, so that nothing is misread silently:
//
//   - A field has to be there, unless it is a pointer or tagged omitempty or omitzero. A pointer that is tagged required
//     (`json:"note,required"`) has to be there too, if only as null. What the struct does not have is passed over.
//   - Names match exactly, and a name stands once.
//   - null is for pointers, slices, maps and interfaces only.
//   - Integers are exact, or an error. In an interface, a number is a [encoding/json.Number].
//
// The error is of the fault [BadInput], and says where in the JSON it is. The function [Decode] does the same by type, and is
// faster.
func (e *Event) Decode(into any) error {
	data, err := e.data()
	if err != nil {
		return err
	}
	if err := strict.Into(data, into); err != nil {
		return e.BadInput("%w", err)
	}
	return nil
}

// Decode is the event's JSON as a value of the type, read as [Event.Decode] says.
func Decode[T any](event *Event) (T, error) {
	var value T
	data, err := event.data()
	if err != nil {
		return value, err
	}
	if err := strict.Decode(data, &value); err != nil {
		return value, event.BadInput("%w", err)
	}
	return value, nil
}

// BadInput is an error which says that this event cannot be understood. Its text begins with the event's coordinates. As in
// [fmt.Errorf], %w wraps an error.
func (e *Event) BadInput(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{
		Fault: BadInput, Message: fmt.Sprintf("%v: %v", e, err), event: e.raw.Index + 1, cause: errors.Unwrap(err),
	}
}

// String is the event's coordinates: topic/partition@offset (type).
func (e *Event) String() string {
	return fmt.Sprintf("%s/%d@%d (%s)", e.raw.Topic, e.raw.Partition, e.raw.Offset, e.raw.Type)
}

func (e *Event) data() ([]byte, error) {
	if e.raw.Payload == nil {
		return nil, e.BadInput("it has no data: it is a tombstone")
	}
	return e.raw.Payload, nil
}

func (e *Event) text(what string, bytes []byte) (string, error) {
	if !utf8.Valid(bytes) {
		return "", e.BadInput("%s is not text: it is not UTF-8", what)
	}
	return frame.Text(bytes), nil
}
