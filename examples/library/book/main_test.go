package main

import (
	"testing"
	"time"

	"lantern.dev/sdk-go/lanterntest"
)

var (
	monday = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	momo   = Added{"Momo", "Michael Ende"}
	lent   = Lent{"ada", monday.AddDate(0, 0, 14)}
)

func TestABookIsLentToOneMemberAtATime(t *testing.T) {
	book := lanterntest.NewAggregate(t, plugin).Given(momo).At(monday)
	book.When(Lend{"ada"}).Then(lent)
	book.Given(lent).When(Lend{"grace"}).ThenRejected("lent")
	book.Given(Returned{"ada"}).When(Lend{"ada"}).Then(lent)
}

func TestABookIsRenewedTwiceAtMost(t *testing.T) {
	book := lanterntest.NewAggregate(t, plugin).Given(momo, lent)
	book.When(Renew{}).Then(Renewed{lent.Due.AddDate(0, 0, 14)})
	book.Given(Renewed{lent.Due}, Renewed{lent.Due}).When(Renew{}).ThenRejected("renewed-too-often")
}

func TestWhatIsNotThereIsNotLent(t *testing.T) {
	lanterntest.NewAggregate(t, plugin).ID("b-9").When(Lend{"ada"}).ThenRejected("no-book")
	lanterntest.NewAggregate(t, plugin).Given(momo).When(Return{}).ThenRejected("not-lent")
	lanterntest.NewAggregate(t, plugin).Given(momo).When(Add(momo)).Then()
}
