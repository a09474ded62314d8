package aggregate_test

import (
	"testing"

	"lantern.dev/sdk-go/aggregate"
	"lantern.dev/sdk-go/lantern"
	"lantern.dev/sdk-go/lanterntest"
)

type (
	Account struct {
		Cents int64 `json:"cents"`
	}
	Withdraw struct {
		Cents int64 `json:"cents"`
	}
	Deposited struct {
		Cents int64 `json:"cents"`
	}
	Withdrawn struct {
		Cents int64 `json:"cents"`
	}
)

var account = aggregate.Aggregate[Account, any, any]{
	Manifest: lantern.Manifest{Name: "account", Topics: []string{"accounts"}},
	Commands: []any{Withdraw{}},
	Events:   []any{Deposited{}, Withdrawn{}},
	Decide: func(state Account, command any, context aggregate.Context) ([]any, error) {
		withdraw := command.(Withdraw)
		if withdraw.Cents > state.Cents {
			return nil, aggregate.Reject("overdrawn", "the account %s has %d cents", context.ID, state.Cents)
		}
		return []any{Withdrawn(withdraw)}, nil
	},
	Evolve: func(state *Account, event any) {
		switch e := event.(type) {
		case Deposited:
			state.Cents += e.Cents
		case Withdrawn:
			state.Cents -= e.Cents
		}
	},
}

// A whole aggregate. In a program it is exported by func init() { aggregate.Export(account) }.
func Example() {
	t := new(testing.T) // In a test, its own.
	lanterntest.NewAggregate(t, account).Given(Deposited{500}).When(Withdraw{500}).Then(Withdrawn{500})
	lanterntest.NewAggregate(t, account).Given(Deposited{500}).When(Withdraw{501}).ThenRejected("overdrawn")
	// Output:
}
