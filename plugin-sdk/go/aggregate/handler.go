package aggregate

import (
	"errors"
	"fmt"

	"lantern.dev/sdk-go/internal/frame"
	"lantern.dev/sdk-go/lantern"
)

// Handler is an aggregate as the host sees it: frames in, frames out. Only the packages of this module need it.
type Handler interface {
	// Manifest is what the host is told.
	Manifest() lantern.Manifest
	// DecideFrame decides a command: a frame of events, or a rejection.
	DecideFrame(request []byte) (events []byte, rejection *Rejection, failed *lantern.Error)
	// EvolveFrame applies a frame of events to a state, which is nil before the first, and answers the new one.
	EvolveFrame(state, events []byte) (evolved []byte, failed *lantern.Error)
}

type handler[State, Command, Event any] struct {
	Aggregate[State, Command, Event]
	commands types[Command]
	events   types[Event]
}

// HandlerOf is the aggregate as the host sees it.
func HandlerOf[State, Command, Event any](a Aggregate[State, Command, Event]) Handler {
	// What is wrong with the types Check says, and every command would.
	commands, _ := typesOf("command", a.Commands)
	events, _ := typesOf("event", a.Events)
	return &handler[State, Command, Event]{a, commands, events}
}

func (h *handler[State, Command, Event]) Manifest() lantern.Manifest { return h.Aggregate.Manifest }

func failure(fault lantern.Fault, format string, args ...any) *lantern.Error {
	return lantern.HostError(fault, fmt.Sprintf(format, args...), -1)
}

func (h *handler[State, Command, Event]) DecideFrame(bytes []byte) (frame []byte, rejection *Rejection, failed *lantern.Error) {
	defer lantern.Recover(nil, &failed)
	request, err := readRequest(bytes)
	if err != nil {
		return nil, nil, failure(lantern.Other, "%v", err)
	}
	state, failed := h.read(request.state)
	if failed != nil {
		return nil, nil, failed
	}
	context := request.context
	command, err := h.commands.read(request.command, request.payload)
	if err != nil {
		return nil, nil, failure(lantern.BadInput, "%s %s: the command %s: %v", context.Aggregate, context.ID, request.command, err)
	}
	events, err := h.Decide(state, command, context)
	if err != nil {
		if errors.As(err, &rejection) {
			return nil, rejection, nil
		}
		return nil, nil, lantern.AsError(err)
	}
	return h.write(events, context)
}

func (h *handler[State, Command, Event]) write(events []Event, context Context) ([]byte, *Rejection, *lantern.Error) {
	var writer frame.RowsWriter
	writer.Columns("type", "payload")
	for _, event := range events {
		name := lantern.NameOf(event)
		if h.events.all[name] == nil {
			return nil, nil, failure(lantern.Other, "%s %s: the event %T (%s) is not among the aggregate's Events", context.Aggregate, context.ID, event, name)
		}
		payload, err := lantern.EncodeJSON(event)
		if err != nil {
			return nil, nil, failure(lantern.Other, "%s %s: the event %s has no JSON: %v", context.Aggregate, context.ID, name, err)
		}
		writer.End(frame.AppendBlob(frame.AppendText(writer.Begin(), name), payload), 2)
	}
	return writer.Finish(nil), nil, nil
}

func (h *handler[State, Command, Event]) EvolveFrame(bytes, events []byte) ([]byte, *lantern.Error) {
	state, failed := h.read(bytes)
	if failed != nil {
		return nil, failed
	}
	failed = lantern.EachEvent(events, func(raw *lantern.Event) error {
		if raw.Payload() == nil {
			return raw.BadInput("it has no data: it is a tombstone")
		}
		event, err := h.events.read(raw.Type(), raw.Payload())
		if err != nil {
			return raw.BadInput("%w", err)
		}
		h.Evolve(&state, event)
		return nil
	})
	if failed != nil {
		return nil, failed
	}
	evolved, err := lantern.EncodeJSON(state)
	if err != nil {
		return nil, failure(lantern.Other, "the state has no JSON: %v", err)
	}
	return evolved, nil
}

func (h *handler[State, Command, Event]) read(bytes []byte) (state State, failed *lantern.Error) {
	if bytes == nil {
		return state, nil
	}
	if err := lantern.DecodeJSON(bytes, &state); err != nil {
		return state, failure(lantern.Other, "the stored state is not of this form: %v; raise the manifest's StateVersion", err)
	}
	return state, nil
}

type request struct {
	context Context
	state   []byte
	command string
	payload []byte
}

// readRequest reads the one row of a decision's request. Its columns may stand in any order, with others between them.
func readRequest(bytes []byte) (request, error) {
	rows, err := frame.ParseRows(bytes)
	if err != nil {
		return request{}, err
	}
	if rows.Len() == 0 {
		return request{}, errors.New("mangled frame: a command's request has no row")
	}
	values, err := rows.Row(0)
	if err != nil {
		return request{}, err
	}
	var r request
	missing := map[string]bool{
		"aggregate": true, "id": true, "version": true, "state": true, "command": true, "payload": true, "time_ms": true, "correlation": true,
	}
	for _, column := range rows.Columns() {
		value, err := values.Next()
		if err != nil {
			return request{}, err
		}
		if !r.take(column, value) {
			return request{}, fmt.Errorf("mangled frame: the column %s of a command's request has a value of another kind", column)
		}
		delete(missing, column)
	}
	for column := range missing {
		return request{}, fmt.Errorf("mangled frame: a command's request lacks the column %s", column)
	}
	return r, nil
}

func (r *request) take(column string, value frame.Value) bool {
	isText := value.Tag == frame.TagText
	isBytes := isText || value.Tag == frame.TagBlob
	isInteger := value.Tag == frame.TagInteger
	isNull := value.Tag == frame.TagNull
	switch column {
	case "aggregate":
		r.context.Aggregate = string(value.Bytes)
		return isText
	case "id":
		r.context.ID = string(value.Bytes)
		return isText
	case "command":
		r.command = string(value.Bytes)
		return isText
	case "version":
		r.context.Version = value.Bits
		return isInteger
	case "time_ms":
		r.context.TimeMs = value.Bits
		return isInteger
	case "payload":
		r.payload = value.Bytes
		return isBytes
	case "state":
		r.state = value.Bytes
		return isBytes || isNull
	case "correlation":
		if isText {
			text := string(value.Bytes)
			r.context.Correlation = &text
		}
		return isText || isNull
	}
	return true
}
