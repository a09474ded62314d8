package lantern

import (
	"lantern.dev/sdk-go/internal/frame"
	"lantern.dev/sdk-go/internal/rowop"
)

const (
	// The most bytes that writes may take before they are handed to the host, in the middle of a batch if need be.
	bufferBytesMax = 8 << 20
	// The most rows that a query answers.
	rowsMax = 100_000
)

// DB is the read model, within the transaction of a batch.
//
// There are two ways to write, and both may be mixed:
//
//   - SQL: [DB.Execute] and [DB.Query].
//   - Rows of a [Table]: [DB.Put], [DB.Upsert], [DB.Update], [DB.Delete] and [DB.Get]. What is written to one row many times in
//     a batch reaches SQLite once, which is the fastest way to write.
//
// Writes are handed over when the batch ends, so an error of SQLite is only known then; it names the event that caused it all
// the same. Reading hands over what was written so far and then waits for it, so a projection that never reads is faster:
// its next batch runs while this one is being written.
//
// Execute and Query see every row that was written before: the rows gathered so far are turned into statements first. So a
// projection that mixes them gathers little.
//
// Values are nil (NULL), bools (0 and 1), integers, floats (NaN is NULL), strings and []byte (nil is NULL), types made of
// them, and pointers to them (nil is NULL). What is wrong with a value fails the event when its function returns.
type DB struct {
	host       Host
	statements []preparedText
	ops        frame.OpsWriter
	params     frame.RowsWriter
	// Memory for frames on their way to the host.
	frame  []byte
	caches []*cache
	// Which of the caches hold rows, in the order in which they were first touched.
	touched []*cache
	// The event that is being applied; -1 is none.
	event int32
	// The first error of a write that could not answer one itself. It fails the event.
	err *Error
}

type preparedText struct {
	text string
	id   uint32
}

// Execute runs a statement that writes, with its parameters in order. It runs when the batch ends, or before a query.
func (db *DB) Execute(sql string, params ...any) error {
	if err := db.execute(sql, params); err != nil {
		return err
	}
	return nil
}

func (db *DB) execute(sql string, params []any) *Error {
	if err := db.flushRows(); err != nil {
		return err
	}
	id, err := db.prepare(sql)
	if err != nil {
		return err
	}
	arena, err := appendValues(db.ops.Begin(), params)
	if err != nil {
		return err
	}
	db.ops.End(arena, id, int(db.event), len(params))
	return nil
}

// Query runs a statement that reads, on everything written so far; it answers at most 100,000 rows.
func (db *DB) Query(sql string, params ...any) (Rows, error) {
	rows, err := db.query(sql, params)
	if err != nil {
		return Rows{}, err
	}
	return rows, nil
}

func (db *DB) query(sql string, params []any) (Rows, *Error) {
	if err := db.flushRows(); err != nil {
		return Rows{}, err
	}
	id, err := db.prepare(sql)
	if err != nil {
		return Rows{}, err
	}
	return db.queryPrepared(id, params)
}

// QueryValue is the first column of a query's first row, as a type that [Row.Scan] can read into.
func QueryValue[T any](db *DB, sql string, params ...any) (value T, found bool, err error) {
	rows, err := db.Query(sql, params...)
	if err != nil {
		return value, false, err
	}
	row, found := rows.First()
	if !found {
		return value, false, nil
	}
	return value, true, row.Scan(&value)
}

// Put writes a whole row: the values of the table's key, then those of all its columns, in the order of their declaration.
func (db *DB) Put(table *Table, row ...any) {
	cache, err := db.cache(table)
	if err == nil {
		err = cache.put(row, db.event)
	}
	db.note(err)
}

// Upsert writes some columns of a row, which is made if there is none. The columns that are not written then have their
// default, so those that are NOT NULL need one.
func (db *DB) Upsert(table *Table, key ...any) RowWriter {
	return db.enter(table, key, intentUpsert)
}

// Update writes some columns of a row, if there is one.
func (db *DB) Update(table *Table, key ...any) RowWriter {
	return db.enter(table, key, intentUpdate)
}

func (db *DB) enter(table *Table, key []any, intent intent) RowWriter {
	cache, err := db.cache(table)
	if err != nil {
		db.note(err)
		return RowWriter{at: noRow}
	}
	at, err := cache.enter(key, intent, db.event)
	if at == flushFirst {
		if err = db.flushRows(); err == nil {
			// The cache is empty, so this answers an entry.
			_, _ = db.cache(table)
			at, err = cache.enter(key, intent, db.event)
		}
	}
	db.note(err)
	return RowWriter{cache: cache, at: int32(at), generation: cache.generation}
}

// Delete deletes a row, if there is one.
func (db *DB) Delete(table *Table, key ...any) {
	cache, err := db.cache(table)
	if err == nil {
		err = cache.delete(key, db.event)
	}
	db.note(err)
}

// Get is the row of a key: as it was written in this batch, or else as the database has it. Its columns are those that the
// table declares beside its key.
func (db *DB) Get(table *Table, key ...any) (row Row, found bool, err error) {
	row, found, failed := db.get(table, key)
	if failed != nil {
		return Row{}, false, failed
	}
	return row, found, nil
}

func (db *DB) get(table *Table, key []any) (Row, bool, *Error) {
	cache, err := db.cache(table)
	if err != nil {
		return Row{}, false, err
	}
	at, err := cache.find(key)
	if err != nil {
		return Row{}, false, err
	}
	if at < 0 || !cache.entries[at].known {
		if at, err = db.load(cache, at >= 0, key); err != nil {
			return Row{}, false, err
		}
	}
	if !cache.exists(at) {
		return Row{}, false, nil
	}
	row, err := cache.row(at)
	return row, err == nil, err
}

// load reads a row of the database into its cache. Of a row that was written in part, the database puts the parts together.
func (db *DB) load(cache *cache, isWritten bool, key []any) (int, *Error) {
	if isWritten {
		if err := db.flushRows(); err != nil {
			return -1, err
		}
		_, _ = db.cache(cache.table)
	}
	if !cache.canRead {
		read := rowop.Statement{Verb: rowop.Read, Table: cache.table.Name, Key: cache.table.Key, Columns: cache.table.Columns}
		id, err := prepareRow(db.host, read, cache.table.readSQL())
		if err != nil {
			return -1, AsError(err)
		}
		cache.read, cache.canRead = id, true
	}
	rows, err := db.queryPrepared(cache.read, key)
	if err != nil {
		return -1, err
	}
	row, found := rows.First()
	return cache.load(key, row, found)
}

// cache is the rows of a table, which count as touched.
func (db *DB) cache(table *Table) (*cache, *Error) {
	for _, cache := range db.caches {
		if cache.table == table {
			if !cache.touched {
				cache.touched = true
				db.touched = append(db.touched, cache)
			}
			return cache, nil
		}
	}
	if err := table.check(); err != nil {
		return nil, err
	}
	db.caches = append(db.caches, &cache{db: db, table: table})
	return db.cache(table)
}

func (db *DB) prepare(sql string) (uint32, *Error) {
	// The same text is mostly the same address: a comparison of pointers finds it.
	for i := range db.statements {
		if isSame(db.statements[i].text, sql) {
			return db.statements[i].id, nil
		}
	}
	for i := range db.statements {
		if db.statements[i].text == sql {
			return db.statements[i].id, nil
		}
	}
	id, err := db.host.Prepare(sql)
	if err != nil {
		return 0, AsError(err)
	}
	db.statements = append(db.statements, preparedText{sql, id})
	return id, nil
}

func (db *DB) queryPrepared(id uint32, params []any) (Rows, *Error) {
	if err := db.flushOps(); err != nil {
		return Rows{}, err
	}
	arena, failed := appendValues(db.params.Begin(), params)
	if failed != nil {
		return Rows{}, failed
	}
	db.params.End(arena, len(params))
	db.frame = db.params.Finish(db.frame)
	bytes, err := db.host.Query(id, db.frame, rowsMax)
	if err != nil {
		return Rows{}, AsError(err)
	}
	return readRows(bytes)
}

// flushRows turns the rows gathered so far into writes.
func (db *DB) flushRows() *Error {
	for _, cache := range db.touched {
		if err := cache.flush(db.host, &db.ops); err != nil {
			return err
		}
	}
	db.touched = db.touched[:0]
	return nil
}

// flushOps hands the writes gathered so far to the host.
func (db *DB) flushOps() *Error {
	if db.ops.Len() == 0 {
		return nil
	}
	db.frame = db.ops.Finish(db.frame)
	if _, err := db.host.Apply(db.frame); err != nil {
		return AsError(err)
	}
	return nil
}

// note keeps the first error of a write that cannot answer it itself.
func (db *DB) note(err *Error) {
	if err != nil && db.err == nil {
		db.err = err
	}
}

// end ends an event: what it wrote must be right, and must not take too much memory.
func (db *DB) end() *Error {
	if db.err != nil {
		return db.err
	}
	size := db.ops.SizeBytes()
	for _, cache := range db.touched {
		size += cache.sizeBytes()
	}
	if size <= bufferBytesMax {
		return nil
	}
	if err := db.flushRows(); err != nil {
		return err
	}
	return db.flushOps()
}

// finish ends a batch: the frame of all writes that the host has not seen yet, valid until the next one.
func (db *DB) finish() ([]byte, *Error) {
	db.event = -1
	if err := db.flushRows(); err != nil {
		return nil, err
	}
	db.frame = db.ops.Finish(db.frame)
	return db.frame, nil
}

// reset forgets everything that was written. Statements stay: they are the instance's, not the transaction's.
func (db *DB) reset() {
	db.ops.Clear()
	for _, cache := range db.caches {
		cache.clear()
	}
	db.touched, db.event, db.err = db.touched[:0], -1, nil
}

// RowWriter is a row that is being written, until rows are handed over: for a statement, a query, or a change of another row that
// cannot be put together with what is gathered. What is wrong with it fails the event when its function returns.
type RowWriter struct {
	// Two words: it is copied with every call.
	cache      *cache
	at         int32
	generation uint32
}

// Set sets a column.
func (r RowWriter) Set(column string, value any) RowWriter {
	if nth := r.column(column); nth >= 0 {
		r.cache.db.note(r.cache.set(int(r.at), nth, value))
	}
	return r
}

// Add adds to a column of integers; NULL counts as 0.
func (r RowWriter) Add(column string, n int64) RowWriter { return r.change(column, changeAdd, n) }

// Max raises a column of integers to n, if it is less or NULL.
func (r RowWriter) Max(column string, n int64) RowWriter { return r.change(column, changeMax, n) }

// Min lowers a column of integers to n, if it is more or NULL.
func (r RowWriter) Min(column string, n int64) RowWriter { return r.change(column, changeMin, n) }

func (r RowWriter) change(column string, change change, n int64) RowWriter {
	nth := r.column(column)
	if nth < 0 || r.cache.change(int(r.at), nth, change, n) {
		return r
	}
	return r.changeAnew(nth, change, n)
}

// column is where a column stands; negative where nothing is to be written.
func (r RowWriter) column(name string) int {
	if r.at < 0 {
		return noRow
	}
	if r.generation != r.cache.generation {
		r.cache.db.note(failure(Other, "a row of %s was entered before rows were written, as for a statement, a query, or a change of another row that cannot be gathered: enter it anew behind it", r.cache.table.Name))
		return noRow
	}
	nth := r.cache.column(name)
	if nth < 0 {
		r.cache.db.note(r.cache.table.undeclared(name))
	}
	return nth
}

// changeAnew is for a change that cannot be put together with what is gathered: that is written, and this begins anew.
func (r RowWriter) changeAnew(nth int, change change, n int64) RowWriter {
	db, intent := r.cache.db, intentUpsert
	if r.cache.entries[r.at].pending == pendingUpdate {
		intent = intentUpdate
	}
	key := append([]byte(nil), r.cache.key(int(r.at))...)
	if err := db.flushRows(); err != nil {
		db.note(err)
		return r
	}
	_, _ = db.cache(r.cache.table)
	r.at, r.generation = int32(r.cache.insert(key, intent, db.event)), r.cache.generation
	r.cache.change(int(r.at), nth, change, n)
	return r
}
