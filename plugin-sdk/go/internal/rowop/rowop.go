// Package rowop says what the statements do that write and read single rows, so that a host without SQLite can do it.
package rowop

// Verb is what a statement does to a row.
type Verb uint8

// The verbs. The parameters of each begin with the key's parts.
const (
	Upsert Verb = iota
	Update
	Delete
	Read
)

// Statement is a statement for one row of a table.
type Statement struct {
	Verb  Verb
	Table string
	// All columns that the plugin declares.
	Key, Columns []string
	// What is written, by the parameters behind the key.
	Writes []Write
}

// Write is how a column is written.
type Write struct {
	Column string
	How    How
}

// How is how a value is put to what is stored.
type How uint8

// Ways to write a column.
const (
	Set How = iota
	Add
	Max
	Min
)

// Host is a host that is told what these statements do, beside their SQL.
type Host interface {
	PrepareRow(statement Statement, sql string) (uint32, error)
}
