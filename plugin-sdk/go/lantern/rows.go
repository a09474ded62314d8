package lantern

import (
	"iter"
	"slices"

	"lantern.dev/sdk-go/internal/frame"
)

// Row is a row that was read: the values of its columns. It stays as it is, whatever is written afterwards.
type Row struct {
	columns []string
	values  []frame.Value
}

// Columns are the names of the columns, in order.
func (r Row) Columns() []string { return slices.Clone(r.columns) }

// Scan reads the first columns into what the pointers point to, as in [database/sql.Rows.Scan]: pointers to texts, numbers,
// bools and bytes; to a pointer to one of them for what may be NULL; or to an interface. A value of another kind is an error,
// and so is an integer that does not fit.
func (r Row) Scan(into ...any) error {
	if len(into) > len(r.values) {
		return failure(Other, "%d columns were asked for, the row has %d", len(into), len(r.values))
	}
	for nth, pointer := range into {
		if err := r.scan(nth, pointer); err != nil {
			return err
		}
	}
	return nil
}

func (r Row) scan(nth int, into any) error {
	if err := scan(r.values[nth], into); err != nil {
		return failure(Other, "column %s: %v", r.name(nth), err)
	}
	return nil
}

func (r Row) name(nth int) string {
	if nth < len(r.columns) {
		return r.columns[nth]
	}
	return ""
}

// Column is the value of a column by its name, as a type that [Row.Scan] can read into.
func Column[T any](row Row, name string) (T, error) {
	var value T
	nth := slices.Index(row.columns, name)
	if nth < 0 {
		return value, failure(Other, "the row has no column %q, only %q", name, row.columns)
	}
	return value, row.scan(nth, &value)
}

// Rows are the rows that a query answers, in its order.
type Rows struct {
	columns []string
	rows    []Row
}

func readRows(bytes []byte) (Rows, *Error) {
	parsed, err := frame.ParseRows(bytes)
	if err != nil {
		return Rows{}, failure(Other, "%v", err)
	}
	rows := Rows{columns: parsed.Columns(), rows: make([]Row, 0, parsed.Len())}
	all := make([]frame.Value, 0, parsed.Len()*len(rows.columns))
	for item := range parsed.Len() {
		values, err := parsed.Row(item)
		start := len(all)
		for err == nil && values.Len() > 0 {
			var value frame.Value
			value, err = values.Next()
			all = append(all, value)
		}
		if err != nil {
			return Rows{}, failure(Other, "%v", err)
		}
		rows.rows = append(rows.rows, Row{rows.columns, all[start:len(all):len(all)]})
	}
	return rows, nil
}

// Len is how many rows there are.
func (r Rows) Len() int { return len(r.rows) }

// All goes through the rows.
func (r Rows) All() iter.Seq[Row] { return slices.Values(r.rows) }

// First is the first row, if there is one.
func (r Rows) First() (row Row, found bool) {
	if len(r.rows) == 0 {
		return Row{}, false
	}
	return r.rows[0], true
}
