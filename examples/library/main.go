// A town's library: which books are lent to whom, who is late, and what that costs.
package main

import (
	"time"

	"lantern.dev/sdk-go/lantern"
	"lantern.dev/sdk-go/projection"
)

var (
	books = &lantern.Table{
		Name:    "books",
		Key:     []string{"book"},
		Columns: []string{"title", "author", "member", "due_ms", "loans"},
	}
	members = &lantern.Table{
		Name:    "members",
		Key:     []string{"member"},
		Columns: []string{"books", "loans", "late", "longest_days", "owes_cents"},
	}
	authors = &lantern.Table{Name: "authors", Key: []string{"author"}, Columns: []string{"books", "loans"}}
)

// What happens to a book, whose number is the event's key.
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

// Paid is what a member pays of what is owed. The member is the event's key.
type Paid struct {
	Cents int64 `json:"cents"`
}

var plugin = projection.Projection{
	Manifest: lantern.Manifest{
		Name:        "library",
		Version:     "1.0.0",
		Description: "Which books are lent to whom, who is late, and what that costs",
		Topics:      []string{"loans", "payments"},
		Types:       []string{"Added", "Lent", "Renewed", "Returned", "Paid"},
		Schema: []string{
			`CREATE TABLE books (
				book TEXT PRIMARY KEY,
				title TEXT NOT NULL,
				author TEXT NOT NULL,
				member TEXT,
				due_ms INTEGER,
				loans INTEGER NOT NULL DEFAULT 0
			)`,
			"CREATE INDEX lent ON books (due_ms) WHERE member IS NOT NULL",
			`CREATE TABLE members (
				member TEXT PRIMARY KEY,
				books INTEGER NOT NULL DEFAULT 0,
				loans INTEGER NOT NULL DEFAULT 0,
				late INTEGER NOT NULL DEFAULT 0,
				longest_days INTEGER,
				owes_cents INTEGER NOT NULL DEFAULT 0
			)`,
			`CREATE TABLE authors (
				author TEXT PRIMARY KEY,
				books INTEGER NOT NULL DEFAULT 0,
				loans INTEGER NOT NULL DEFAULT 0
			)`,
		},
		Queries: []lantern.Query{
			{
				Name:        "overdue",
				SQL:         "SELECT book, title, member, due_ms FROM books WHERE member IS NOT NULL AND due_ms < :now_ms ORDER BY due_ms",
				Description: "The books that should be back at a time, the longest overdue first",
			},
			{
				Name:        "of-member",
				SQL:         "SELECT book, title, due_ms FROM books WHERE member = :member ORDER BY due_ms",
				Description: "What a member has at home",
			},
		},
	},
	Apply: apply,
}

func init() { projection.Export(plugin) }

// A plugin is called by its host, not run.
func main() {}

func apply(event *lantern.Event, db *lantern.DB) error {
	key, err := event.KeyString()
	if err != nil {
		return err
	}
	switch event.Type() {
	case "Added":
		added, err := lantern.Decode[Added](event)
		if err != nil {
			return err
		}
		db.Upsert(books, key).Set("title", added.Title).Set("author", added.Author)
		db.Upsert(authors, added.Author).Add("books", 1)
	case "Lent":
		return lend(event, db, key)
	case "Renewed":
		renewed, err := lantern.Decode[Renewed](event)
		if err != nil {
			return err
		}
		db.Update(books, key).Set("due_ms", renewed.Due.UnixMilli())
	case "Returned":
		return takeBack(event, db, key)
	case "Paid":
		paid, err := lantern.Decode[Paid](event)
		if err != nil {
			return err
		}
		db.Upsert(members, key).Add("owes_cents", -paid.Cents)
	}
	return nil
}

func lend(event *lantern.Event, db *lantern.DB, book string) error {
	lent, err := lantern.Decode[Lent](event)
	if err != nil {
		return err
	}
	row, found, err := db.Get(books, book)
	if err != nil {
		return err
	}
	if !found {
		return event.BadInput("the book %s was never added", book)
	}
	author, err := lantern.Column[string](row, "author")
	if err != nil {
		return err
	}
	db.Update(books, book).Set("member", lent.Member).Set("due_ms", lent.Due.UnixMilli()).Add("loans", 1)
	db.Upsert(members, lent.Member).Add("books", 1).Add("loans", 1)
	db.Upsert(authors, author).Add("loans", 1)
	return nil
}

func takeBack(event *lantern.Event, db *lantern.DB, book string) error {
	returned, err := lantern.Decode[Returned](event)
	if err != nil {
		return err
	}
	row, found, err := db.Get(books, book)
	if err != nil {
		return err
	}
	if !found {
		return event.BadInput("the book %s was never added", book)
	}
	// What may be NULL is read into a pointer.
	dueMs, err := lantern.Column[*int64](row, "due_ms")
	if err != nil {
		return err
	}
	if dueMs == nil {
		return event.BadInput("the book %s is not lent", book)
	}
	db.Update(books, book).Set("member", nil).Set("due_ms", nil)
	member := db.Upsert(members, returned.Member).Add("books", -1)
	if days := daysLate(time.UnixMilli(*dueMs), event.Time()); days > 0 {
		member.Add("late", 1).Max("longest_days", days).Add("owes_cents", days*centsPerDay)
	}
	return nil
}
