package lantern

import (
	"bytes"
	"fmt"
	"runtime/debug"

	"lantern.dev/sdk-go/internal/frame"
)

// Host is what a batch's database is to the DB: frames in, frames out. Only the packages of this module need it.
type Host interface {
	// Prepare checks a statement and gives it an id.
	Prepare(sql string) (uint32, error)
	// Apply runs a frame of writes, and answers how many rows changed. The frame is valid for the call only.
	Apply(ops []byte) (uint32, error)
	// Query runs a statement that reads, and answers a frame of rows, which is the caller's.
	Query(statement uint32, params []byte, rowsMax uint32) ([]byte, error)
}

// Runner applies batches to a projection. Only the packages of this module need it.
type Runner struct {
	db    DB
	apply func(*Event, *DB) error
}

// NewRunner is a runner on a host.
func NewRunner(host Host, apply func(*Event, *DB) error) *Runner {
	return &Runner{db: DB{host: host, event: -1}, apply: apply}
}

// Apply applies a frame of events, which must not change afterwards. It answers the frame of writes that were not handed over
// yet, valid until the next call. After an error nothing of the batch is left behind.
func (r *Runner) Apply(events []byte) ([]byte, *Error) {
	writes, err := r.applyAll(events)
	if err != nil {
		r.db.reset()
	}
	return writes, err
}

func (r *Runner) applyAll(events []byte) (writes []byte, failed *Error) {
	var event Event
	event.raw.Index = -1
	defer Recover(&event, &failed)
	parsed, err := frame.ParseEvents(events)
	if err != nil {
		return nil, failure(Other, "%v", err)
	}
	for item := range parsed.Len() {
		if err := parsed.Read(item, &event.raw); err != nil {
			return nil, failure(Other, "%v", err)
		}
		r.db.event = int32(item)
		if err := r.apply(&event, &r.db); err != nil {
			return nil, AsError(err).at(item)
		}
		if err := r.db.end(); err != nil {
			return nil, err.at(item)
		}
	}
	return r.db.finish()
}

// EachEvent gives the events of a frame to a function, until it answers an error. Only the packages of this module need it.
func EachEvent(events []byte, each func(*Event) error) (failed *Error) {
	var event Event
	event.raw.Index = -1
	defer Recover(&event, &failed)
	parsed, err := frame.ParseEvents(events)
	if err != nil {
		return failure(Other, "%v", err)
	}
	for item := range parsed.Len() {
		if err := parsed.Read(item, &event.raw); err != nil {
			return failure(Other, "%v", err)
		}
		if err := each(&event); err != nil {
			return AsError(err).at(item)
		}
	}
	return nil
}

// Recover makes a panic an error with its stack, at the event that is being applied, if any. To be deferred.
func Recover(event *Event, failed **Error) {
	panicked := recover()
	if panicked == nil {
		return
	}
	*failed = failure(Other, "panic: %s\n\n%s", fmt.Sprint(panicked), stackOf(debug.Stack()))
	if event != nil {
		*failed = (*failed).at(event.raw.Index)
	}
}

// stackOf is the stack from the function on that has panicked, without what found it out.
func stackOf(stack []byte) []byte {
	_, behind, found := bytes.Cut(stack, []byte("\npanic("))
	if !found {
		return stack
	}
	// The line with the place of runtime.gopanic is the last of that.
	if _, behind, found = bytes.Cut(behind, []byte("\n\t")); found {
		_, behind, found = bytes.Cut(behind, []byte("\n"))
	}
	if !found {
		return stack
	}
	return behind
}
