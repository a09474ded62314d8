package lantern_test

import (
	"errors"
	"fmt"
	"testing"

	"lantern.dev/sdk-go/lantern"
	"lantern.dev/sdk-go/lanterntest"
	"lantern.dev/sdk-go/projection"
)

var accounts = &lantern.Table{Name: "balances", Key: []string{"account"}, Columns: []string{"cents"}}

// Amount is the data of both events.
type Amount struct {
	Account string `json:"account"`
	Cents   int64  `json:"cents"`
}

// A whole projection: it keeps the balance of every account. In a program it is exported by
// func init() { projection.Export(balances) }.
func Example() {
	balances := projection.Projection{
		Manifest: lantern.Manifest{
			Name:   "balances",
			Topics: []string{"accounts"},
			Types:  []string{"Deposited", "Withdrawn"},
			Schema: []string{"CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL)"},
		},
		Apply: func(event *lantern.Event, db *lantern.DB) error {
			amount, err := lantern.Decode[Amount](event)
			if err != nil {
				return err
			}
			switch event.Type() {
			case "Deposited":
				db.Upsert(accounts, amount.Account).Add("cents", amount.Cents)
			case "Withdrawn":
				db.Upsert(accounts, amount.Account).Add("cents", -amount.Cents)
			}
			return nil
		},
	}

	test := lanterntest.NewProjection(new(testing.T), balances)
	test.Apply(
		lanterntest.Event{Type: "Deposited", Data: Amount{"ada", 500}},
		lanterntest.Event{Type: "Withdrawn", Data: Amount{"ada", 200}},
	)
	fmt.Println(test.Rows(accounts))
	// Output: [map[account:ada cents:300]]
}

func ExampleDecode() {
	test := lanterntest.NewProjection(new(testing.T), applying(func(event *lantern.Event, _ *lantern.DB) error {
		amount, err := lantern.Decode[Amount](event)
		fmt.Println(amount.Cents, err)
		return nil
	}))
	test.Apply(
		lanterntest.Event{Type: "Deposited", Payload: []byte(`{"account":"ada","cents":9007199254740993}`)},
		lanterntest.Event{Type: "Deposited", Payload: []byte(`{"account":"ada","cents":1.5}`)},
		lanterntest.Event{Type: "Deposited", Payload: []byte(`{"account":"ada"}`)},
	)
	// Output:
	// 9007199254740993 <nil>
	// 0 topic/0@1 (Deposited): cents: expected an integer that fits int64, found the number 1.5 (byte 25 of its JSON)
	// 0 topic/0@2 (Deposited): the field "cents" is missing (byte 17 of its JSON)
}

// A row is read as it is now, with what this batch has written to it.
func ExampleDB_Get() {
	lanterntest.NewProjection(new(testing.T), applying(func(_ *lantern.Event, db *lantern.DB) error {
		db.Upsert(accounts, "ada").Set("cents", 500)
		row, found, err := db.Get(accounts, "ada")
		if err != nil || !found {
			return err
		}
		cents, err := lantern.Column[int64](row, "cents")
		fmt.Println(cents, err)
		return nil
	})).Apply(lanterntest.Event{Type: "Any"})
	// Output: 500 <nil>
}

// What the host refuses is an Error, whose Fault says whose it is.
func ExampleError() {
	lanterntest.NewProjection(new(testing.T), applying(func(_ *lantern.Event, db *lantern.DB) error {
		_, err := db.Query("SELECT count(*) FROM missing")
		var refused *lantern.Error
		if errors.As(err, &refused) {
			fmt.Println(refused.Fault)
		}
		return nil
	})).Apply(lanterntest.Event{Type: "Any"})
	// Output: unsupported
}
