// The upcaster of tests/conformance/README.md, which says what each event becomes.
package main

import (
	"fmt"

	"lantern.dev/sdk-go/lantern"
	"lantern.dev/sdk-go/upcaster"
)

func init() {
	upcaster.Export(upcaster.Upcaster{
		Manifest: lantern.Manifest{
			Name:   "upcaster-go",
			Topics: []string{"conformance-old"},
			Types:  []string{"CountV1", "RecordV1", "GoneV1", "BadV1"},
		},
		Upcast: upcast,
	})
}

func main() {}

func upcast(event *lantern.Event) (upcaster.Event, error) {
	switch event.Type() {
	case "CountV1":
		old, err := lantern.Decode[struct {
			Account string `json:"account"`
			Amount  int64  `json:"amount"`
		}](event)
		if err != nil {
			return upcaster.Event{}, err
		}
		return upcaster.To("Count", struct {
			Account string `json:"account"`
			N       int64  `json:"n"`
		}{old.Account, old.Amount}), nil
	case "RecordV1":
		return upcaster.Rename(event, "Record"), nil
	case "GoneV1":
		return upcaster.Tombstone("Record"), nil
	case "BadV1":
		return upcaster.Event{}, event.BadInput("refused by the domain")
	}
	return upcaster.Event{}, fmt.Errorf("%v is of no type that is upgraded", event)
}
