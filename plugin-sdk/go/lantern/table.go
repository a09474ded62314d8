package lantern

import (
	"fmt"
	"math/bits"
	"strings"

	"lantern.dev/sdk-go/internal/rowop"
)

// columnsMax is the most columns of a table beside its key.
const columnsMax = 64

// Table is a table that is written row by row, declared once:
//
//	var orders = &lantern.Table{
//		Name:    "orders",
//		Key:     []string{"order_id"},
//		Columns: []string{"customer_id", "status", "total_cents"},
//	}
//
// The table itself is made by the manifest's schema. Of the rows that a batch writes, each reaches SQLite once, in the order in
// which they were first written, table by table. That is the same as writing at once as long as rows do not depend on
// each other; where they do, by a trigger, a foreign key or a second unique constraint, use [DB.Execute]. What it needs of
// the table:
//
//   - the key columns are its primary key or a unique index, and compare byte by byte (no COLLATE NOCASE);
//   - the values written to a column are of the column's type;
//   - a column that is added to, or is a maximum or minimum, has no DEFAULT, or, if added to, 0.
type Table struct {
	Name string
	// Key are the key's columns, at least one.
	Key []string
	// Columns are those of the other columns that are written, at most 64.
	Columns []string
}

func (t *Table) check() *Error {
	if t == nil || t.Name == "" || len(t.Key) == 0 {
		return failure(Other, "a table needs a Name and a Key of at least one column: %+v", t)
	}
	if len(t.Columns) > columnsMax {
		return failure(Other, "the table %s has %d columns beside its key, at most %d are possible", t.Name, len(t.Columns), columnsMax)
	}
	return nil
}

// column is where a column stands; -1 if it is not declared.
func (t *Table) column(name string) int {
	// The same text is mostly the same address: a comparison of pointers finds it.
	for nth, column := range t.Columns {
		if isSame(column, name) {
			return nth
		}
	}
	for nth, column := range t.Columns {
		if column == name {
			return nth
		}
	}
	return -1
}

func (t *Table) undeclared(name string) *Error {
	return failure(Other, "the table %s declares no column %q, only %q", t.Name, name, t.Columns)
}

// verb is what a statement does to a row.
type verb uint8

const (
	verbUpsert = verb(rowop.Upsert)
	verbUpdate = verb(rowop.Update)
	verbDelete = verb(rowop.Delete)
)

// written says which columns are written, and how, as bits by the columns' positions.
type written struct {
	// All that are written; those in none of the others are set.
	all           uint64
	add, max, min uint64
}

// statement is what a row is written by.
type statement struct {
	verb    verb
	columns written
}

// rowop says what a statement does.
func (t *Table) rowop(s statement) rowop.Statement {
	op := rowop.Statement{Verb: rowop.Verb(s.verb), Table: t.Name, Key: t.Key, Columns: t.Columns}
	for nth, column := range t.Columns {
		bit := uint64(1) << nth
		if s.columns.all&bit == 0 {
			continue
		}
		write := rowop.Write{Column: column}
		switch {
		case s.columns.add&bit != 0:
			write.How = rowop.Add
		case s.columns.max&bit != 0:
			write.How = rowop.Max
		case s.columns.min&bit != 0:
			write.How = rowop.Min
		}
		op.Writes = append(op.Writes, write)
	}
	return op
}

// writeSQL is the text of a statement. Its parameters are the key, then the columns by position.
func (t *Table) writeSQL(s statement) string {
	var columns []string
	for nth, column := range t.Columns {
		if s.columns.all>>nth&1 != 0 {
			columns = append(columns, column)
		}
	}
	name := quoted(t.Name)
	switch s.verb {
	case verbDelete:
		return "DELETE FROM " + name + t.where()
	case verbUpdate:
		number := len(t.Key)
		return "UPDATE " + name + " SET " + t.assignments(s.columns, func(string) string {
			number++
			return fmt.Sprintf("?%d", number)
		}) + t.where()
	}
	all := quotedList(append(append([]string{}, t.Key...), columns...))
	marks := strings.Repeat(", ?", len(t.Key)+len(columns))[2:]
	sql := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (%s) DO ", name, all, marks, quotedList(t.Key))
	if len(columns) == 0 {
		return sql + "NOTHING"
	}
	return sql + "UPDATE SET " + t.assignments(s.columns, func(column string) string { return "excluded." + column })
}

// readSQL is the text of the statement that reads the declared columns of a row by its key.
func (t *Table) readSQL() string {
	// Only a qualified name is surely a column: a bare one that is misspelt would be a text.
	name := quoted(t.Name)
	columns := "1"
	if len(t.Columns) > 0 {
		var all []string
		for _, column := range t.Columns {
			all = append(all, name+"."+quoted(column))
		}
		columns = strings.Join(all, ", ")
	}
	return "SELECT " + columns + " FROM " + name + t.where()
}

func (t *Table) assignments(columns written, value func(column string) string) string {
	var all []string
	for rest := columns.all; rest != 0; rest &= rest - 1 {
		nth := bits.TrailingZeros64(rest)
		bit := uint64(1) << nth
		column := quoted(t.Columns[nth])
		// The table's name tells the column from its twin in `excluded`.
		old, is := quoted(t.Name)+"."+column, value(column)
		switch {
		case columns.add&bit != 0:
			is = fmt.Sprintf("ifnull(%s, 0) + %s", old, is)
		case columns.max&bit != 0:
			is = fmt.Sprintf("max(ifnull(%s, %s), %s)", old, is, is)
		case columns.min&bit != 0:
			is = fmt.Sprintf("min(ifnull(%s, %s), %s)", old, is, is)
		}
		all = append(all, column+" = "+is)
	}
	return strings.Join(all, ", ")
}

func (t *Table) where() string {
	var all []string
	for nth, column := range t.Key {
		all = append(all, fmt.Sprintf("%s.%s = ?%d", quoted(t.Name), quoted(column), nth+1))
	}
	return " WHERE " + strings.Join(all, " AND ")
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quotedList(names []string) string {
	var all []string
	for _, name := range names {
		all = append(all, quoted(name))
	}
	return strings.Join(all, ", ")
}
