package lantern

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"lantern.dev/sdk-go/internal/frame"
	"lantern.dev/sdk-go/internal/strict"
)

var outbox = &Table{
	Name:    "_lantern_outbox",
	Key:     []string{"key"},
	Columns: []string{"aggregate", "id", "command", "payload", "due_ms", "correlation", "causation"},
}

// Named is a command or an event that is not called as its type is.
type Named interface{ LanternName() string }

// NameOf is what a command or an event is called: as its type, unless it is [Named].
func NameOf(message any) string {
	if named, ok := message.(Named); ok {
		return named.LanternName()
	}
	typ := reflect.TypeOf(message)
	for typ != nil && typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ == nil {
		return ""
	}
	return typ.Name()
}

// Command is a command to an aggregate, sent by [DB.Send].
type Command struct {
	// Aggregate is the type of the aggregate, ID which of them.
	Aggregate, ID string
	// Name is the command's; if it is empty, that of its data's type, see [NameOf].
	Name string
	// Data is the command's, written as JSON; nil is an empty object.
	Data any
	// Due has it wait until then: a timeout is event.Time().Add(30 * time.Minute). It is sent at that time or later, when
	// the projection has applied what there is, unless it was taken back by [DB.Cancel]. The zero time is at once.
	Due time.Time
}

// Send sends a command because of an event, once that is applied. The manifest has to name the aggregate in its Sends.
//
// The key says which command of the process it is: "transfer-7/debit". It is the command's idempotency key, so that it has its
// effect once, whatever is killed and however often the events are replayed. So it must follow from the events, and each
// command of a process needs its own. Sending under a key that was not sent yet replaces the command.
//
// The answer comes as an event: of the aggregate's topic when it is accepted, of the topic with .decisions behind its name,
// which [Rejected] reads, when it is rejected.
func (db *DB) Send(event *Event, key string, command Command) {
	name := command.Name
	if name == "" {
		name = NameOf(command.Data)
	}
	if name == "" || command.Aggregate == "" {
		db.note(failure(Other, "a command needs an Aggregate, and a Name or Data of a type with a name: %+v", command))
		return
	}
	payload, err := EncodeJSON(command.Data)
	if err != nil {
		db.note(failure(Other, "the data of the command %s has no JSON: %v", name, err))
		return
	}
	var due *int64
	if !command.Due.IsZero() {
		ms := command.Due.UnixMilli()
		due = &ms
	}
	causation := headerText(event, "ce_id")
	correlation := headerText(event, "ce_correlationid")
	if correlation == nil {
		// What an event without a correlation begins is known by that event.
		correlation = causation
	}
	db.Put(outbox, key, command.Aggregate, command.ID, name, payload, due, correlation, causation)
}

// Cancel takes a command back that was not sent yet, such as a timeout that did not come to pass.
func (db *DB) Cancel(key string) { db.Delete(outbox, key) }

func headerText(event *Event, name string) *string {
	value := event.Header(name)
	if value == nil || !utf8.Valid(value) {
		return nil
	}
	text := frame.Text(value)
	return &text
}

// EncodeJSON is a value as JSON: as [encoding/json] writes it, but for the characters of HTML, which stay as they are. nil is an
// empty object, so that fields can be added to it.
func EncodeJSON(value any) ([]byte, error) {
	if value == nil {
		return []byte("{}"), nil
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// DecodeJSON reads JSON as [Event.Decode] does. Only the packages of this module need it.
func DecodeJSON(data []byte, into any) error { return strict.Into(data, into) }

// RejectedType is the type of the events that tell what an aggregate refused.
const RejectedType = "lantern.rejected"

// Rejected is what an aggregate refused: the data of an event of [RejectedType], in the topic with .decisions behind the name
// of the aggregate's. The event's key is the aggregate's id.
type Rejected struct {
	// Command is the command's name, Key its idempotency key.
	Command string `json:"command"`
	Key     string `json:"key"`
	// Code says why for programs, Message for people. Detail has more for programs.
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Detail  json.RawMessage `json:"detail,omitempty"`
}

// SentBy is the key under which the process manager of this name sent the command, if it did.
func (r Rejected) SentBy(plugin string) (key string, ok bool) {
	return strings.CutPrefix(r.Key, plugin+":")
}
