package lantern

import (
	"math"

	"lantern.dev/sdk-go/internal/frame"
)

// The rows of one table that a batch writes: found by key, changed in memory, flushed as writes.
//
// Nothing is allocated per row: keys and texts lie one behind the other in an arena, in the form that they have in a frame,
// and columns in one list of cells. A flush copies. The order is that of first writing and the hash is a fixed one, so
// the same batch always gives the same writes.
type cache struct {
	db      *DB
	table   *Table
	arena   []byte
	entries []entry
	// The columns of the entries that have cells, one entry after the other.
	cells []cell
	// Open addressing: an entry's position plus one, or 0. The length is a power of two, at least twice the entries.
	slots []uint32
	// Statements that write, by what they write.
	statements []prepared
	read       uint32
	canRead    bool
	touched    bool
	// How often the rows were flushed: a row that was entered before is another's place now.
	generation uint32
	// The column behind the one that was named last: most rows are written in the order of their declaration.
	next int
}

type prepared struct {
	statement statement
	id        uint32
}

// intent says whether a row that is not there is to be made.
type intent uint8

const (
	intentUpsert intent = iota
	intentUpdate
)

// change is how a column is changed.
type change uint8

const (
	changeSet change = iota
	changeAdd
	changeMax
	changeMin
	changeUnknown
)

// pending is what is to be written of a row.
type pending uint8

const (
	// It was only read.
	pendingNothing pending = iota
	pendingUpsert
	pendingUpdate
	pendingDelete
	// It is deleted, and then made anew.
	pendingReplace
)

type cellKind uint8

const (
	cellNull cellKind = iota
	cellInteger
	// Any other value, as a frame has it: at a position of the arena, of a length.
	cellEncoded
)

type cell struct {
	n      int64
	length uint32
	kind   cellKind
	// How an integer changes a column of which nothing else is known; changeSet where that is not so.
	made change
}

type entry struct {
	columns written
	hash    uint32
	// The key's place in the arena.
	keyPos, keyLen uint32
	// Of a row that was put and not touched since: how many bytes its key and values have, one behind the other.
	whole uint32
	// Where its cells begin; -1: it has none yet.
	cells int32
	// The last event that touched the row; -1 is none.
	event   int32
	pending pending
	// All cells have the row's values, or it is known that there is no row.
	known bool
	// There is no row in the database.
	absent bool
}

func (c *cache) sizeBytes() int {
	const perEntry, perCell = 72, 16
	return len(c.arena) + len(c.entries)*perEntry + len(c.cells)*perCell
}

func (c *cache) clear() {
	c.touched = false
	c.generation++
	c.arena, c.cells, c.entries = c.arena[:0], c.cells[:0], c.entries[:0]
	clear(c.slots)
}

// row copies a known entry's values.
func (c *cache) row(at int) (Row, *Error) {
	width := len(c.table.Columns)
	row := Row{columns: c.table.Columns, values: make([]frame.Value, width)}
	for nth := range row.values {
		switch cell := c.cell(at, nth); cell.kind {
		case cellInteger:
			row.values[nth] = frame.Value{Tag: frame.TagInteger, Bits: cell.n}
		case cellEncoded:
			value, err := frame.ReadValue(c.arena[cell.n : cell.n+int64(cell.length)])
			if err != nil {
				return Row{}, failure(Other, "%v", err)
			}
			if value.Bytes != nil {
				value.Bytes = append([]byte{}, value.Bytes...)
			}
			row.values[nth] = value
		}
	}
	return row, nil
}

// exists says whether a known entry has a row.
func (c *cache) exists(at int) bool {
	e := &c.entries[at]
	return !e.absent && e.pending != pendingDelete
}

// Answers of `enter` beside an entry.
const (
	// There is no row to write to.
	noRow = -1
	// What is gathered of the row must be flushed first.
	flushFirst = -2
)

// enter enters a row with an intent.
func (c *cache) enter(key []any, intent intent, event int32) (int, *Error) {
	if intent == intentUpsert {
		if at := c.known(key); at >= 0 && c.entries[at].pending == pendingUpsert {
			c.entries[at].event = event
			return at, nil
		}
	}
	start := len(c.arena)
	if err := c.appendKey(key); err != nil {
		return noRow, err
	}
	at, isNew := c.entry(start)
	e := &c.entries[at]
	next := e.pending
	switch e.pending {
	case pendingNothing:
		switch {
		case intent == intentUpsert && (isNew || e.absent):
			next = pendingUpsert
		case intent == intentUpdate && !isNew && e.absent:
			return noRow, nil
		default:
			// It was read, so it is there; or it is updated if it is.
			next = pendingUpdate
		}
	case pendingDelete:
		if intent == intentUpdate {
			return noRow, nil
		}
		next = pendingReplace
	case pendingUpdate:
		// The update may have met no row, which an upsert now makes: two writes, not one.
		if intent == intentUpsert && !e.known {
			return flushFirst, nil
		}
	}
	if e.absent || e.pending == pendingDelete {
		// A new row's other columns have defaults, which only the database knows.
		e.known, e.absent = false, false
	}
	e.pending, e.event = next, event
	return at, nil
}

// insert enters a row that nothing is gathered of, by its encoded key.
func (c *cache) insert(key []byte, intent intent, event int32) int {
	start := len(c.arena)
	c.arena = append(c.arena, key...)
	at, _ := c.entry(start)
	e := &c.entries[at]
	e.pending = pendingUpsert
	if intent == intentUpdate {
		e.pending = pendingUpdate
	}
	e.event = event
	return at
}

// set sets a column of an entry.
func (c *cache) set(at, column int, value any) *Error {
	cell, err := c.encode(value)
	if err != nil {
		return err
	}
	*c.cell(at, column) = cell
	mark(&c.entries[at].columns, column, changeSet)
	return nil
}

func mark(columns *written, column int, change change) {
	bit := uint64(1) << column
	columns.all |= bit
	columns.add &^= bit
	columns.max &^= bit
	columns.min &^= bit
	switch change {
	case changeAdd:
		columns.add |= bit
	case changeMax:
		columns.max |= bit
	case changeMin:
		columns.min |= bit
	}
}

func (e *entry) before(column int) change {
	bit := uint64(1) << column
	switch {
	case e.columns.all&bit == 0:
		if e.known {
			return changeSet
		}
		return changeUnknown
	case e.columns.add&bit != 0:
		return changeAdd
	case e.columns.max&bit != 0:
		return changeMax
	case e.columns.min&bit != 0:
		return changeMin
	}
	return changeSet
}

// change changes a column of an entry by an integer. False: this cannot be put together with what is gathered.
func (c *cache) change(at, column int, change change, n int64) bool {
	e := &c.entries[at]
	if e.cells < 0 {
		c.makeCells(e)
	}
	cell := &c.cells[int(e.cells)+column]
	if cell.made == change {
		return cell.again(change, n)
	}
	before := e.before(column)
	if before == changeUnknown {
		// Nothing is known of the column: the change itself is gathered.
		mark(&e.columns, column, change)
		cell.kind, cell.made, cell.n = cellInteger, change, n
		return true
	}
	// The column's value, or what is to be added to it, is known, and changes here.
	switch {
	case before != changeSet:
		return false
	case cell.kind == cellNull:
		cell.n = n
	case cell.kind != cellInteger || !cell.again(change, n):
		return false
	}
	cell.kind = cellInteger
	e.columns.all |= 1 << column
	return true
}

// again changes an integer once more. False: the sum does not fit.
func (c *cell) again(change change, n int64) bool {
	switch change {
	case changeAdd:
		sum := c.n + n
		if (sum > c.n) != (n > 0) && n != 0 {
			return false
		}
		c.n = sum
	case changeMax:
		c.n = max(c.n, n)
	case changeMin:
		c.n = min(c.n, n)
	}
	return true
}

// put writes a whole row: its key, and all of its columns.
func (c *cache) put(row []any, event int32) *Error {
	keys, width := len(c.table.Key), len(c.table.Columns)
	if len(row) != keys+width {
		return failure(Other, "%d values were put into %s, which declares the key %q and the columns %q: %d values",
			len(row), c.table.Name, c.table.Key, c.table.Columns, keys+width)
	}
	start := len(c.arena)
	if err := c.appendKey(row[:keys]); err != nil {
		return err
	}
	at, isNew := c.entry(start)
	e := &c.entries[at]
	if isNew {
		// It stays as it is written in the end, behind its key.
		arena, err := appendValues(c.arena, row[keys:])
		if err != nil {
			return err
		}
		c.arena, e.whole = arena, uint32(len(arena)-start)
	} else {
		for nth, value := range row[keys:] {
			cell, err := c.encode(value)
			if err != nil {
				return err
			}
			*c.cell(at, nth) = cell
		}
	}
	if e.pending == pendingDelete || e.pending == pendingReplace {
		e.pending = pendingReplace
	} else {
		e.pending = pendingUpsert
	}
	e.columns = written{}
	if width > 0 {
		e.columns.all = math.MaxUint64 >> (64 - width)
	}
	e.known, e.absent, e.event = true, false, event
	return nil
}

func (c *cache) delete(key []any, event int32) *Error {
	start := len(c.arena)
	if err := c.appendKey(key); err != nil {
		return err
	}
	at, _ := c.entry(start)
	if e := &c.entries[at]; !e.absent {
		// Its cells are what the row had.
		e.pending, e.columns, e.whole, e.cells, e.known, e.event = pendingDelete, written{}, 0, -1, true, event
	}
	return nil
}

// load enters a row as the database has it.
func (c *cache) load(key []any, row Row, found bool) (int, *Error) {
	start := len(c.arena)
	if err := c.appendKey(key); err != nil {
		return -1, err
	}
	at, _ := c.entry(start)
	c.entries[at].known, c.entries[at].absent = true, !found
	for nth, value := range row.values[:min(len(row.values), len(c.table.Columns))] {
		into := c.cell(at, nth)
		switch value.Tag {
		case frame.TagNull:
			*into = cell{}
		case frame.TagInteger:
			*into = cell{kind: cellInteger, n: value.Bits}
		default:
			pos := len(c.arena)
			c.arena = value.Append(c.arena)
			*into = cell{kind: cellEncoded, n: int64(pos), length: uint32(len(c.arena) - pos)}
		}
	}
	return at, nil
}

func (c *cache) encode(value any) (cell, *Error) {
	switch v := value.(type) {
	case nil:
		return cell{}, nil
	case int64:
		return cell{kind: cellInteger, n: v}, nil
	case int:
		return cell{kind: cellInteger, n: int64(v)}, nil
	}
	pos := len(c.arena)
	arena, err := appendValue(c.arena, value)
	if err != nil {
		return cell{}, err
	}
	c.arena = arena
	if arena[pos] == frame.TagNull || arena[pos] == frame.TagInteger {
		value, _ := frame.ReadValue(arena[pos:])
		c.arena = arena[:pos]
		return cell{kind: cellKind(value.Tag), n: value.Bits}, nil
	}
	return cell{kind: cellEncoded, n: int64(pos), length: uint32(len(arena) - pos)}, nil
}

// entry is the entry of the key that the arena has from `start` on, and whether it was made here.
func (c *cache) entry(start int) (at int, isNew bool) {
	h := hash(c.arena[start:])
	at, slot := c.slotOf(h, start)
	if at >= 0 {
		c.arena = c.arena[:start]
		return at, false
	}
	if (len(c.entries)+1)*2 > len(c.slots) {
		c.grow()
		_, slot = c.slotOf(h, start)
	}
	at = len(c.entries)
	c.slots[slot] = uint32(at) + 1
	c.entries = append(c.entries, entry{hash: h, keyPos: uint32(start), keyLen: uint32(len(c.arena) - start), cells: -1, event: -1})
	return at, true
}

// cell is a column of an entry, which has no cells before one is asked for.
func (c *cache) cell(at, column int) *cell {
	e := &c.entries[at]
	if e.cells < 0 {
		c.makeCells(e)
	}
	return &c.cells[int(e.cells)+column]
}

// makeCells gives an entry cells: a row that was put is taken apart.
func (c *cache) makeCells(e *entry) {
	e.cells = int32(len(c.cells))
	if e.whole == 0 {
		for range c.table.Columns {
			c.cells = append(c.cells, cell{})
		}
		return
	}
	at := e.keyPos + e.keyLen
	for range c.table.Columns {
		length := frame.SizeOf(c.arena[at:])
		made := cell{kind: cellEncoded, n: int64(at), length: length}
		switch c.arena[at] {
		case frame.TagNull:
			made = cell{}
		case frame.TagInteger:
			made = cell{kind: cellInteger, n: frame.IntegerOf(c.arena[at:])}
		}
		c.cells = append(c.cells, made)
		at += length
	}
	e.whole = 0
}
