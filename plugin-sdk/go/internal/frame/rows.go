package frame

const rowBytes = 8

// Rows is a frame of rows that was checked as a whole; its rows are checked as they are read.
type Rows struct{ layout layout }

// ParseRows reads a frame's header and the names of its columns.
func ParseRows(frame []byte) (Rows, error) {
	l, err := parse(frame, KindRows, rowBytes)
	return Rows{layout: l}, err
}

// Len is how many rows there are.
func (r *Rows) Len() int { return r.layout.count }

// Columns are the columns' names.
func (r *Rows) Columns() []string { return r.layout.texts }

// Row is the values of a row.
func (r *Rows) Row(item int) (Values, error) { return r.layout.values(item, 0) }

// RowsWriter writes frames of rows.
type RowsWriter struct{ builder builder }

// Columns names the columns, before the first row. Parameters have no names.
func (w *RowsWriter) Columns(names ...string) {
	for _, name := range names {
		w.builder.intern(name)
	}
}

// Begin answers the arena, which the values of a row are appended to.
func (w *RowsWriter) Begin() []byte { return w.builder.arena }

// End adds the row whose values are in the arena behind what Begin answered.
func (w *RowsWriter) End(arena []byte, count int) {
	w.builder.index = appendU32(w.builder.index, uint32(len(w.builder.arena)), uint32(count))
	w.builder.arena = arena
	w.builder.count++
}

// Finish writes the frame into the memory of `into`, and starts over.
func (w *RowsWriter) Finish(into []byte) []byte {
	return w.builder.finish(into, KindRows, rowBytes)
}
