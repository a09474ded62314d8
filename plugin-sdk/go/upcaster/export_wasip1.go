package upcaster

import "lantern.dev/sdk-go/internal/guest"

var exported Upcaster

func export(u Upcaster) { exported = u }

//go:wasmexport lantern:plugin/meta@0.1.0#describe
func describe() uint32 { return guest.AnswerText(exported.Manifest.JSON()) }

//go:wasmexport lantern:plugin/upcast@0.1.0#upcast
func upcast(at, size uint32) uint32 {
	return guest.AnswerFrame(exported.UpcastFrame(guest.Take(at, size)))
}
