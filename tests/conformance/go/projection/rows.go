package main

import (
	"strconv"
	"strings"

	"lantern.dev/sdk-go/lantern"
)

var (
	rows  = &lantern.Table{Name: "rows", Key: []string{"id"}, Columns: []string{"n", "note"}}
	reads = &lantern.Table{
		Name: "reads", Key: []string{"partition", "position", "step"}, Columns: []string{"found", "n", "note"},
	}
)

// row does operations on one row, in order.
func row(event *lantern.Event, db *lantern.DB) error {
	e, err := lantern.Decode[struct {
		ID  string `json:"id"`
		Ops string `json:"ops"`
	}](event)
	if err != nil {
		return err
	}
	for step, op := range strings.Split(e.Ops, ";") {
		word, argument, _ := strings.Cut(op, " ")
		var n int64
		switch word {
		case "put", "add", "max", "min", "set", "uset", "uadd":
			if n, err = strconv.ParseInt(argument, 10, 64); err != nil {
				return event.BadInput("the operation %q: %w", op, err)
			}
		}
		switch word {
		case "put":
			db.Put(rows, e.ID, n, "put")
		case "add":
			db.Upsert(rows, e.ID).Add("n", n)
		case "max":
			db.Upsert(rows, e.ID).Max("n", n)
		case "min":
			db.Upsert(rows, e.ID).Min("n", n)
		case "set":
			db.Upsert(rows, e.ID).Set("n", n)
		case "null":
			db.Upsert(rows, e.ID).Set("n", nil)
		case "note":
			db.Upsert(rows, e.ID).Set("note", argument)
		case "touch":
			db.Upsert(rows, e.ID)
		case "uset":
			db.Update(rows, e.ID).Set("n", n)
		case "uadd":
			db.Update(rows, e.ID).Add("n", n)
		case "delete":
			db.Delete(rows, e.ID)
		case "get":
			if err := read(event, step, e.ID, db); err != nil {
				return err
			}
		default:
			return event.BadInput("%q is no operation", op)
		}
	}
	return nil
}

func read(event *lantern.Event, step int, id string, db *lantern.DB) error {
	var n *int64
	var note *string
	row, found, err := db.Get(rows, id)
	if err == nil && found {
		err = row.Scan(&n, &note)
	}
	if err != nil {
		return err
	}
	db.Put(reads, event.Partition(), event.Offset(), step, found, n, note)
	return nil
}
