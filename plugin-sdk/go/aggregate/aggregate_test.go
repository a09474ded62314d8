package aggregate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lantern.dev/sdk-go/aggregate"
	"lantern.dev/sdk-go/lanterntest"
)

// The domain says no, or something is broken: who sent the command must see which.
func TestWhatIsDecidedIsAnAnswerOrAFailure(t *testing.T) {
	decided := account
	decided.Decide = func(_ Account, command any, _ aggregate.Context) ([]any, error) {
		switch command.(Withdraw).Cents {
		case 1:
			return nil, fmt.Errorf("wrapped: %w", aggregate.Reject("no", "no").WithDetail(map[string]int{"n": 1}))
		case 2:
			return nil, errors.New("an ordinary error")
		case 3:
			panic("boom")
		case 4:
			return []any{struct{}{}}, nil
		}
		return nil, nil
	}
	when := func(cents int64) *lanterntest.Outcome[any] {
		return lanterntest.NewAggregate(t, decided).When(Withdraw{cents})
	}
	when(0).Then()
	when(1).ThenRejected("no")
	if detail := string(when(1).Rejection().Detail); detail != `{"n":1}` {
		t.Error(detail)
	}
	when(2).ThenFails("an ordinary error")
	when(3).ThenFails("panic: boom")
	when(4).ThenFails("is not among the aggregate's Events")
	lanterntest.NewAggregate(t, account).When(struct{ Cents int }{1}).ThenFails("there is no command of this name")
}

func TestWhatAHostWouldRefuseIsSaid(t *testing.T) {
	check := func(change func(*aggregate.Aggregate[Account, any, any]), message string) {
		t.Helper()
		changed := account
		change(&changed)
		if err := changed.Check(); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("expected %q, got %v", message, err)
		}
	}
	check(func(a *aggregate.Aggregate[Account, any, any]) { a.Manifest.Name = "Account" }, "Name is")
	check(func(a *aggregate.Aggregate[Account, any, any]) { a.Manifest.Topics = []string{"a", "b"} }, "has several")
	check(func(a *aggregate.Aggregate[Account, any, any]) { a.Manifest.Topics = []string{"a.decisions"} }, "where rejections are written")
	check(func(a *aggregate.Aggregate[Account, any, any]) { a.Manifest.Types = []string{"a"} }, "is a projection's")
	check(func(a *aggregate.Aggregate[Account, any, any]) { a.Decide = nil }, "has no Decide")
	check(func(a *aggregate.Aggregate[Account, any, any]) { a.Events = []any{Deposited{}, Deposited{}} }, "a name of its own")
}

func TestAStateIsWhatItsEventsMakeOfIt(t *testing.T) {
	history := lanterntest.NewAggregate(t, account)
	if history.State() != (Account{}) {
		t.Error(history.State())
	}
	if state := history.Given(Deposited{1<<62 + 1}).Given(Withdrawn{1}).State(); state.Cents != 1<<62 {
		t.Error(state)
	}
}
