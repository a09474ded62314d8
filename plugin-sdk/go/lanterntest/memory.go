package lanterntest

import (
	"fmt"
	"maps"
	"math"

	"lantern.dev/sdk-go/internal/frame"
	"lantern.dev/sdk-go/internal/rowop"
	"lantern.dev/sdk-go/lantern"
)

// memory is a host that keeps rows in maps, by table and encoded key.
type memory struct {
	statements []prepared
	tables     map[string]*table
	answers    map[string]func(params ...any) [][]any
	executed   []Statement
}

type prepared struct {
	sql string
	// nil: SQL of the plugin's own.
	row *rowop.Statement
}

type table struct {
	rows map[string]Row
	// The keys, in the order in which their rows were made.
	order []string
}

// Row is a row, by its columns' names: nil, int64, float64, string or []byte.
type Row map[string]any

// Statement is a statement that a projection has executed.
type Statement struct {
	SQL    string
	Params []any
}

func newMemory() *memory {
	return &memory{tables: map[string]*table{}, answers: map[string]func(...any) [][]any{}}
}

// snapshot is what is to be put back when a batch fails.
func (m *memory) snapshot() (restore func()) {
	tables, executed := map[string]*table{}, m.executed
	for name, of := range m.tables {
		copied := &table{rows: map[string]Row{}, order: append([]string(nil), of.order...)}
		for key, row := range of.rows {
			copied.rows[key] = maps.Clone(row)
		}
		tables[name] = copied
	}
	return func() { m.tables, m.executed = tables, executed }
}

func (m *memory) add(p prepared) uint32 {
	m.statements = append(m.statements, p)
	return uint32(len(m.statements) - 1)
}

func (m *memory) PrepareRow(statement rowop.Statement, sql string) (uint32, error) {
	return m.add(prepared{sql, &statement}), nil
}

func (m *memory) Prepare(sql string) (uint32, error) { return m.add(prepared{sql: sql}), nil }

func (m *memory) Apply(ops []byte) (uint32, error) {
	parsed, err := frame.ParseOps(ops)
	if err != nil {
		return 0, err
	}
	for item := range parsed.Len() {
		op, err := parsed.Op(item)
		if err != nil {
			return 0, err
		}
		params, encoded, err := read(op.Values)
		if err != nil {
			return 0, err
		}
		statement := m.statements[op.Statement]
		if statement.row == nil {
			m.executed = append(m.executed, Statement{statement.sql, params})
			continue
		}
		if err := m.write(*statement.row, params, encoded); err != nil {
			return 0, lantern.HostError(lantern.SQL, err.Error(), op.Event)
		}
	}
	return uint32(parsed.Len()), nil
}

func (m *memory) table(name string) *table {
	if m.tables[name] == nil {
		m.tables[name] = &table{rows: map[string]Row{}}
	}
	return m.tables[name]
}

func (m *memory) write(s rowop.Statement, params []any, encoded []string) error {
	of, key := m.table(s.Table), fmt.Sprint(encoded[:len(s.Key)])
	row, exists := of.rows[key]
	switch {
	case s.Verb == rowop.Delete:
		delete(of.rows, key)
		return nil
	case s.Verb == rowop.Update && !exists:
		return nil
	case !exists:
		row = Row{}
		for nth, name := range s.Key {
			row[name] = params[nth]
		}
		for _, name := range s.Columns {
			row[name] = nil
		}
		of.rows[key] = row
		of.order = append(of.order, key)
	}
	for nth, write := range s.Writes {
		value := params[len(s.Key)+nth]
		if exists && write.How != rowop.Set {
			merged, err := merge(write, row[write.Column], value)
			if err != nil {
				return fmt.Errorf("%s.%s: %w", s.Table, write.Column, err)
			}
			value = merged
		}
		row[write.Column] = value
	}
	return nil
}

func merge(write rowop.Write, stored, value any) (any, error) {
	n := value.(int64)
	old, ok := stored.(int64)
	switch {
	case stored == nil:
		return n, nil
	case !ok:
		return nil, fmt.Errorf("it is %v, which is no integer", stored)
	case write.How == rowop.Max:
		return max(old, n), nil
	case write.How == rowop.Min:
		return min(old, n), nil
	case n > 0 && old > math.MaxInt64-n || n < 0 && old < math.MinInt64-n:
		return float64(old) + float64(n), nil // As SQLite does it.
	}
	return old + n, nil
}

func (m *memory) Query(id uint32, params []byte, _ uint32) ([]byte, error) {
	rows, err := frame.ParseRows(params)
	if err != nil {
		return nil, err
	}
	first, err := rows.Row(0)
	if err != nil {
		return nil, err
	}
	values, encoded, err := read(first)
	if err != nil {
		return nil, err
	}
	var writer frame.RowsWriter
	statement := m.statements[id]
	if statement.row == nil {
		answer, ok := m.answers[statement.sql]
		if !ok {
			return nil, lantern.HostError(lantern.Unsupported, fmt.Sprintf(
				"there is no SQLite in a native test: say by OnQuery what this answers, or test it by `lantern test`: %s", statement.sql), -1)
		}
		for _, row := range answer(values...) {
			if err := push(&writer, row); err != nil {
				return nil, err
			}
		}
		return writer.Finish(nil), nil
	}
	writer.Columns(statement.row.Columns...)
	if row, ok := m.table(statement.row.Table).rows[fmt.Sprint(encoded)]; ok {
		all := []any{}
		for _, name := range statement.row.Columns {
			all = append(all, row[name])
		}
		if err := push(&writer, all); err != nil {
			return nil, err
		}
	}
	return writer.Finish(nil), nil
}

func push(writer *frame.RowsWriter, row []any) error {
	arena := writer.Begin()
	for _, value := range row {
		switch v := value.(type) {
		case nil:
			arena = frame.AppendNull(arena)
		case int64:
			arena = frame.AppendInteger(arena, v)
		case int:
			arena = frame.AppendInteger(arena, int64(v))
		case float64:
			arena = frame.AppendReal(arena, v)
		case string:
			arena = frame.AppendText(arena, v)
		case []byte:
			arena = frame.AppendBlob(arena, v)
		default:
			return fmt.Errorf("a row has nil, int, int64, float64, string or []byte, not %T", value)
		}
	}
	writer.End(arena, len(row))
	return nil
}

// read is values, and how they are encoded: what a key is found by.
func read(values frame.Values) (all []any, encoded []string, err error) {
	for values.Len() > 0 {
		value, err := values.Next()
		if err != nil {
			return nil, nil, err
		}
		encoded = append(encoded, fmt.Sprintf("%x", value.Append(nil)))
		switch value.Tag {
		case frame.TagNull:
			all = append(all, nil)
		case frame.TagInteger:
			all = append(all, value.Bits)
		case frame.TagReal:
			all = append(all, value.Real())
		case frame.TagText:
			all = append(all, string(value.Bytes))
		case frame.TagBlob:
			all = append(all, append([]byte{}, value.Bytes...))
		}
	}
	return all, encoded, nil
}
