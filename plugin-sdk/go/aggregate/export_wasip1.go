package aggregate

import "lantern.dev/sdk-go/internal/guest"

var exported Handler

func export(h Handler) { exported = h }

//go:wasmexport lantern:plugin/meta@0.1.0#describe
func describe() uint32 { return guest.AnswerText(exported.Manifest().JSON()) }

//go:wasmexport lantern:plugin/commands@0.1.0#decide
func decide(at, size uint32) uint32 {
	events, rejection, failed := exported.DecideFrame(guest.Take(at, size))
	switch {
	case failed != nil:
		return guest.AnswerFailure(failed)
	case rejection != nil:
		return guest.AnswerRejection(rejection.Code, rejection.Message, rejection.Detail)
	}
	return guest.AnswerEvents(events)
}

//go:wasmexport lantern:plugin/commands@0.1.0#evolve
func evolve(hasState, stateAt, stateSize, at, size uint32) uint32 {
	var state []byte
	if hasState != 0 {
		state = guest.Take(stateAt, stateSize)
	}
	return guest.AnswerFrame(exported.EvolveFrame(state, guest.Take(at, size)))
}
