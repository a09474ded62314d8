// A book of the library: it is lent to one member at a time, and renewed twice at most.
package main

import (
	"time"

	"lantern.dev/sdk-go/aggregate"
	"lantern.dev/sdk-go/lantern"
)

const (
	loanDays    = 14
	renewalsMax = 2
)

// Book is what has to be known to decide.
type Book struct {
	Added    bool      `json:"added"`
	Member   string    `json:"member,omitempty"`
	Due      time.Time `json:"due,omitzero"`
	Renewals int       `json:"renewals"`
}

// What can be asked of a book. Commands are called as their types are.
type (
	// Add puts a new book on the shelves.
	Add struct {
		Title  string `json:"title"`
		Author string `json:"author"`
	}
	// Lend has a member take it home.
	Lend struct {
		Member string `json:"member"`
	}
	// Renew lets it be kept for longer.
	Renew struct{}
	// Return has it come back.
	Return struct{}
)

// What has happened to a book. What was once appended is read for ever.
type (
	// Added is a new book on the shelves.
	Added struct {
		Title  string `json:"title"`
		Author string `json:"author"`
	}
	// Lent is a book that a member takes home.
	Lent struct {
		Member string    `json:"member"`
		Due    time.Time `json:"due"`
	}
	// Renewed is a book that may be kept for longer.
	Renewed struct {
		Due time.Time `json:"due"`
	}
	// Returned is a book that is back.
	Returned struct {
		Member string `json:"member"`
	}
)

var plugin = aggregate.Aggregate[Book, any, any]{
	Manifest: lantern.Manifest{
		Name:        "book",
		Version:     "1.0.0",
		Description: "Lends a book to one member at a time",
		Topics:      []string{"loans"},
	},
	Commands: []any{Add{}, Lend{}, Renew{}, Return{}},
	Events:   []any{Added{}, Lent{}, Renewed{}, Returned{}},
	Decide:   decide,
	Evolve:   evolve,
}

func init() { aggregate.Export(plugin) }

// A plugin is called by its host, not run.
func main() {}

func decide(book Book, command any, context aggregate.Context) ([]any, error) {
	now := time.UnixMilli(context.TimeMs).UTC()
	if add, ok := command.(Add); ok {
		if book.Added {
			return nil, nil // It is there already: nothing has to happen.
		}
		return []any{Added(add)}, nil
	}
	if !book.Added {
		return nil, aggregate.Reject("no-book", "the library has no book %s", context.ID)
	}
	if lend, ok := command.(Lend); ok {
		if book.Member != "" {
			return nil, aggregate.Reject("lent", "the book is lent until %s", book.Due.Format(time.DateOnly)).
				WithDetail(map[string]any{"due": book.Due})
		}
		return []any{Lent{lend.Member, now.AddDate(0, 0, loanDays)}}, nil
	}
	if book.Member == "" {
		return nil, aggregate.Reject("not-lent", "the book is not lent")
	}
	switch command.(type) {
	case Renew:
		if book.Renewals == renewalsMax {
			return nil, aggregate.Reject("renewed-too-often", "a book is renewed %d times at most", renewalsMax)
		}
		return []any{Renewed{book.Due.AddDate(0, 0, loanDays)}}, nil
	case Return:
		return []any{Returned{book.Member}}, nil
	}
	return nil, nil
}

func evolve(book *Book, event any) {
	switch e := event.(type) {
	case Added:
		book.Added = true
	case Lent:
		book.Member, book.Due, book.Renewals = e.Member, e.Due, 0
	case Renewed:
		book.Due = e.Due
		book.Renewals++
	case Returned:
		book.Member, book.Due, book.Renewals = "", time.Time{}, 0
	}
}
