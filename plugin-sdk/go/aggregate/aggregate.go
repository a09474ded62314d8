// Package aggregate makes a plugin that is a command handler: commands in, events or a rejection out.
//
// An aggregate is a value and two functions. It is exported by an init function, since a plugin has no main that would run:
//
//	func init() { aggregate.Export(Account) }
//
//	func main() {}
//
// A plugin is of one kind, so a program imports only one of projection, aggregate and upcaster.
package aggregate

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"lantern.dev/sdk-go/lantern"
)

// Aggregate is one thing of which there are many, each with its own history of events: an account, an order.
//
// State is what the next decision needs of it; its zero value is the state before the first event. The host keeps it as JSON,
// so whatever is decided on has to be in exported fields. Command and Event are interfaces that its commands and events
// implement; any will do. A command is called as its type, and so is an event, unless it is [lantern.Named]; the
// fields of the type are its data.
type Aggregate[State, Command, Event any] struct {
	// Manifest has the aggregate's type as its Name, and the one topic that its events are appended to.
	Manifest lantern.Manifest
	// Commands has a value of each type of command, as Decide is given them: Deposit{}, Withdraw{}.
	Commands []Command
	// Events has a value of each type of event, as Evolve is given them. What was once appended is read for ever, so types and
	// fields are only added.
	Events []Event
	// Decide says which events happen; none means that nothing has to. An error made by [Reject] means that the domain says no:
	// that is an answer, which the caller gets and which is not tried again. It is called once for each
	// command, with the latest state, and nobody else decides about this aggregate meanwhile.
	Decide func(state State, command Command, context Context) ([]Event, error)
	// Evolve applies an event. It cannot fail: the event has happened.
	Evolve func(state *State, event Event)
}

// Context is what a command is decided in, beside the state.
type Context struct {
	// Aggregate is the aggregate's type, ID which of them.
	Aggregate, ID string
	// Version is how many events it has had: 0 means that it is not there yet.
	Version int64
	// TimeMs is the time of the decision in Unix milliseconds. What depends on it belongs into the events.
	TimeMs int64
	// Correlation is the correlation id, if there is one: what belongs together carries the same.
	Correlation *string
}

// Rejection is the error of a domain that says no.
type Rejection struct {
	// Code is for programs, Message for people. Detail has more for programs, as JSON; nil is none.
	Code    string
	Message string
	Detail  json.RawMessage
}

// Reject is a rejection with its code, for programs, and its message, for people.
func Reject(code, format string, args ...any) *Rejection {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithDetail adds more for programs. What has no form in JSON is logged and left out.
func (r *Rejection) WithDetail(detail any) *Rejection {
	text, err := lantern.EncodeJSON(detail)
	if err != nil {
		lantern.Warnf("the detail of the rejection %s has no JSON: %v", r.Code, err)
		return r
	}
	r.Detail = text
	return r
}

func (r *Rejection) Error() string { return r.Code + ": " + r.Message }

// Check says what a host would refuse.
func (a Aggregate[State, Command, Event]) Check() error {
	if err := a.Manifest.Check(); err != nil {
		return err
	}
	m := a.Manifest
	wrong := func(field, reason string) error { return fmt.Errorf("the manifest's %s %s", field, reason) }
	switch {
	case a.Decide == nil || a.Evolve == nil:
		return errors.New("the aggregate has no Decide or no Evolve")
	case len(m.Topics) != 1:
		return wrong("Topics", "has several: a command handler appends its events to one")
	case strings.HasSuffix(m.Topics[0], ".decisions"):
		return wrong("Topics", `ends with ".decisions", where rejections are written: name another topic`)
	case len(m.Schema)+len(m.Queries)+len(m.Types)+len(m.Headers)+len(m.Sends) > 0 || m.AllHeaders:
		return wrong("Schema, Queries, Types, Headers or Sends", "is a projection's, and this is a command handler: leave it out")
	case m.Envelope != lantern.CloudEvents():
		return wrong("Envelope", "is a projection's: a command handler's events are CloudEvents")
	}
	if _, err := typesOf("command", a.Commands); err != nil {
		return err
	}
	_, err := typesOf("event", a.Events)
	return err
}

// types are commands or events by their names.
type types[M any] struct {
	what string
	all  map[string]reflect.Type
}

func typesOf[M any](what string, messages []M) (types[M], error) {
	known := types[M]{what, map[string]reflect.Type{}}
	for _, message := range messages {
		name := lantern.NameOf(message)
		if name == "" || known.all[name] != nil {
			return known, fmt.Errorf("each %s needs a type with a name of its own: %T has the name %q", what, message, name)
		}
		known.all[name] = reflect.TypeOf(message)
	}
	return known, nil
}

// read makes a command or an event of its name and its JSON.
func (t types[M]) read(name string, data []byte) (M, error) {
	var none M
	typ, ok := t.all[name]
	if !ok {
		return none, fmt.Errorf("there is no %s of this name", t.what)
	}
	isPointer := typ.Kind() == reflect.Pointer
	if isPointer {
		typ = typ.Elem()
	}
	value := reflect.New(typ)
	if err := lantern.DecodeJSON(data, value.Interface()); err != nil {
		return none, err
	}
	if !isPointer {
		value = value.Elem()
	}
	return value.Interface().(M), nil
}
