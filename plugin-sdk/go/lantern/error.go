package lantern

import (
	"errors"
	"fmt"
)

// Fault is whose fault an [Error] is.
type Fault uint8

const (
	// BadInput means that the event cannot be understood: it is at fault, not the plugin.
	BadInput Fault = iota
	// SQL means that SQLite refused a statement.
	SQL
	// Conflict means that a write conflicts with what is stored.
	Conflict
	// Unsupported means that what was asked for is not offered here.
	Unsupported
	// Other is anything else, and what every error is that is no [Error].
	Other
)

// String is the fault as the contract writes it.
func (f Fault) String() string {
	switch f {
	case BadInput:
		return "bad-input"
	case SQL:
		return "sql"
	case Conflict:
		return "conflict"
	case Unsupported:
		return "unsupported"
	}
	return "other"
}

// Error is why an event could not be applied. Find it with [errors.As] in the errors of this package.
type Error struct {
	Fault   Fault
	Message string
	// The event at fault, counted from 1 within its batch; 0 is none.
	event int
	cause error
}

func (e *Error) Error() string { return e.Message }

// Unwrap is the error that it was made of, if any.
func (e *Error) Unwrap() error { return e.cause }

// Event is the place of the event at fault in its batch, counted from 0, where it is known.
func (e *Error) Event() (index int, known bool) { return e.event - 1, e.event > 0 }

// HostError is an error that the host answered; an event of -1 is none. Only the packages of this module need it.
func HostError(fault Fault, message string, event int) *Error {
	return &Error{Fault: fault, Message: message, event: event + 1}
}

func failure(fault Fault, format string, args ...any) *Error {
	return &Error{Fault: fault, Message: fmt.Sprintf(format, args...)}
}

// AsError is any error as an [Error]: the fault is that of the first Error which it wraps, the text is its own.
func AsError(err error) *Error {
	var found *Error
	if !errors.As(err, &found) {
		return &Error{Fault: Other, Message: err.Error()}
	}
	// A copy: the plugin may keep its own, and answer it again.
	return &Error{Fault: found.Fault, Message: err.Error(), event: found.event, cause: err}
}

// at names the event at fault, unless that is known already.
func (e *Error) at(event int) *Error {
	if e.event == 0 && event >= 0 {
		e.event = event + 1
	}
	return e
}
