package main

import (
	"strings"
	"testing"
	"time"

	"lantern.dev/sdk-go/lanterntest"
)

var monday = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

func TestADayThatHasBegunCounts(t *testing.T) {
	for late, days := range map[time.Duration]int64{
		-time.Hour: 0, 0: 0, time.Millisecond: 1, 24 * time.Hour: 1, 25 * time.Hour: 2, 240 * time.Hour: 10,
	} {
		if found := daysLate(monday, monday.Add(late)); found != days {
			t.Errorf("%v late is %d days, expected %d", late, found, days)
		}
	}
}

func TestWhoIsLateOwesForEachDay(t *testing.T) {
	library := lanterntest.NewProjection(t, plugin)
	library.Apply(
		lanterntest.Event{Key: "b-1", Time: monday, Data: Added{"Momo", "Michael Ende"}},
		lanterntest.Event{Key: "b-1", Data: Lent{"ada", monday}},
		lanterntest.Event{Key: "b-1", Time: monday.Add(50 * time.Hour), Data: Returned{"ada"}},
	)
	library.ExpectRows(members, lanterntest.Row{"member": "ada", "books": 0, "loans": 1, "late": 1, "longest_days": 3, "owes_cents": 60})
	library.ExpectRows(books, lanterntest.Row{"book": "b-1", "member": nil, "due_ms": nil, "loans": 1})
	library.ExpectRows(authors, lanterntest.Row{"author": "Michael Ende", "books": 1, "loans": 1})

	library.Apply(lanterntest.Event{Topic: "payments", Key: "ada", Data: Paid{50}})
	library.ExpectRows(members, lanterntest.Row{"owes_cents": 10})
}

func TestABookThatWasNeverAddedCannotBeLent(t *testing.T) {
	err := lanterntest.NewProjection(t, plugin).Try(lanterntest.Event{Key: "b-1", Data: Lent{"ada", monday}})
	if err == nil || !strings.Contains(err.Error(), "the book b-1 was never added") {
		t.Error(err)
	}
}
