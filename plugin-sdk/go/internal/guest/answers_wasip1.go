package guest

import (
	"unsafe"

	"lantern.dev/sdk-go/lantern"
)

// AnswerText answers a text.
func AnswerText(text string) uint32 {
	at, size := Keep(0, []byte(text))
	return Answer(at, size)
}

// AnswerFrame answers a frame or a failure, as result<frame, failure>.
func AnswerFrame(frame []byte, failed *lantern.Error) uint32 {
	if failed != nil {
		return AnswerFailure(failed)
	}
	at, size := Keep(0, frame)
	return Answer(isOk, at, size)
}

// AnswerFailure answers the failure of a result.
func AnswerFailure(failed *lantern.Error) uint32 {
	at, size := Keep(0, []byte(failed.Message))
	index, known := failed.Event()
	if !known {
		return Answer(isErr, uint32(failed.Fault), at, size, 0, 0)
	}
	return Answer(isErr, uint32(failed.Fault), at, size, 1, uint32(index))
}

// AnswerEvents answers a decision's events.
func AnswerEvents(frame []byte) uint32 {
	at, size := Keep(0, frame)
	return Answer(isOk, 0, at, size)
}

// AnswerRejection answers that the domain says no. Without detail it is nil.
func AnswerRejection(code, message string, detail []byte) uint32 {
	codeAt, codeSize := Keep(0, []byte(code))
	messageAt, messageSize := Keep(1, []byte(message))
	if detail == nil {
		return Answer(isOk, 1, codeAt, codeSize, messageAt, messageSize, 0)
	}
	detailAt, detailSize := Keep(2, detail)
	return Answer(isOk, 1, codeAt, codeSize, messageAt, messageSize, 1, detailAt, detailSize)
}

// Result is where the host puts a result whose failure is a `failure`: six words.
type Result [6]uint32

// At is the result's place.
func (r *Result) At() unsafe.Pointer { return unsafe.Pointer(r) }

// Number is the number of a result<u32, failure>.
func (r *Result) Number() (uint32, error) {
	if r[0]&0xFF != isOk {
		return 0, r.failure()
	}
	return r[1], nil
}

// Frame is the frame of a result<frame, failure>.
func (r *Result) Frame() ([]byte, error) {
	if r[0]&0xFF != isOk {
		return nil, r.failure()
	}
	return Take(r[1], r[2]), nil
}

func (r *Result) failure() error {
	event := -1
	if r[4]&0xFF != 0 {
		event = int(r[5])
	}
	return lantern.HostError(lantern.Fault(r[1]&0xFF), takeText(r[2], r[3]), event)
}
