package upcaster_test

import (
	"fmt"
	"strings"
	"testing"

	"lantern.dev/sdk-go/lantern"
	"lantern.dev/sdk-go/lanterntest"
	"lantern.dev/sdk-go/upcaster"
)

type DepositedV1 struct {
	Amount int64 `json:"amount"`
}

type Deposited struct {
	Cents int64 `json:"cents"`
}

var deposits = upcaster.Upcaster{
	Manifest: lantern.Manifest{Name: "deposits", Topics: []string{"accounts"}, Types: []string{"DepositedV1", "PaidIn", "Gone"}},
	Upcast: func(event *lantern.Event) (upcaster.Event, error) {
		switch event.Type() {
		case "PaidIn":
			return upcaster.Rename(event, "Deposited"), nil
		case "Gone":
			return upcaster.Tombstone("Deposited"), nil
		}
		old, err := lantern.Decode[DepositedV1](event)
		if err != nil {
			return upcaster.Event{}, err
		}
		return upcaster.To("Deposited", Deposited{old.Amount * 100}), nil
	},
}

// A whole upcaster. In a program it is exported by func init() { upcaster.Export(deposits) }.
func Example() {
	today := lanterntest.Upcast(new(testing.T), deposits, lanterntest.Event{Data: DepositedV1{5}})
	fmt.Println(today.Type, string(today.Payload))
	// Output: Deposited {"cents":500}
}

func TestDataIsPassedOnByteForByteAndATombstoneStaysOne(t *testing.T) {
	payload := []byte{0, 255, '{'}
	today := lanterntest.Upcast(t, deposits, lanterntest.Event{Type: "PaidIn", Payload: payload})
	if string(today.Payload) != string(payload) {
		t.Error(today)
	}
	if today := lanterntest.Upcast(t, deposits, lanterntest.Event{Type: "PaidIn", Payload: []byte{}}); today.Payload == nil {
		t.Error("no bytes became a tombstone")
	}
	for _, event := range []lanterntest.Event{{Type: "PaidIn", Tombstone: true}, {Type: "Gone"}} {
		if today := lanterntest.Upcast(t, deposits, event); today.Payload != nil || today.Type != "Deposited" {
			t.Error(today)
		}
	}
	_, err := lanterntest.TryUpcast(t, deposits, lanterntest.Event{Type: "DepositedV1", Payload: []byte(`{"amount":"5"}`)})
	if err == nil || !strings.Contains(err.Error(), "amount: expected an integer") {
		t.Error(err)
	}
}
