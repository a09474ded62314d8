package lantern

import (
	"math/bits"

	"lantern.dev/sdk-go/internal/frame"
	"lantern.dev/sdk-go/internal/rowop"
)

// flush turns all rows into writes, and forgets them.
func (c *cache) flush(host Host, writes *frame.OpsWriter) *Error {
	for at := 0; at < len(c.entries); at++ {
		e := &c.entries[at]
		if e.whole > 0 {
			last, err := c.flushWhole(at, host, writes)
			if err != nil {
				return err.at(int(e.event))
			}
			at = last
			continue
		}
		var err *Error
		switch e.pending {
		case pendingUpsert:
			err = c.write(at, statement{verbUpsert, e.columns}, host, writes)
		case pendingUpdate:
			if e.columns.all != 0 {
				err = c.write(at, statement{verbUpdate, e.columns}, host, writes)
			}
		case pendingDelete, pendingReplace:
			err = c.write(at, statement{verb: verbDelete}, host, writes)
			if err == nil && e.pending == pendingReplace {
				err = c.write(at, statement{verbUpsert, e.columns}, host, writes)
			}
		}
		if err != nil {
			return err.at(int(e.event))
		}
	}
	c.clear()
	return nil
}

// flushWhole writes the rows that were put from one on, as long as they lie one behind the other, and answers the last.
func (c *cache) flushWhole(at int, host Host, writes *frame.OpsWriter) (last int, failed *Error) {
	first := &c.entries[at]
	id, err := c.prepare(statement{verbUpsert, first.columns}, host)
	if err != nil {
		return at, err
	}
	end, count := first.keyPos, len(c.table.Key)+len(c.table.Columns)
	base := len(writes.Begin()) - int(first.keyPos)
	for ; at < len(c.entries); at++ {
		e := &c.entries[at]
		if e.whole == 0 || e.keyPos != end {
			break
		}
		writes.Add(id, int(e.event), base+int(end), count)
		end += e.whole
	}
	writes.Append(c.arena[first.keyPos:end])
	return at - 1, nil
}

func (c *cache) write(at int, s statement, host Host, writes *frame.OpsWriter) *Error {
	id, err := c.prepare(s, host)
	if err != nil {
		return err
	}
	e := &c.entries[at]
	arena := append(writes.Begin(), c.arena[e.keyPos:e.keyPos+e.keyLen]...)
	count := len(c.table.Key)
	for rest := s.columns.all; rest != 0; rest &= rest - 1 {
		switch cell := c.cell(at, bits.TrailingZeros64(rest)); cell.kind {
		case cellNull:
			arena = frame.AppendNull(arena)
		case cellInteger:
			arena = frame.AppendInteger(arena, cell.n)
		case cellEncoded:
			arena = append(arena, c.arena[cell.n:cell.n+int64(cell.length)]...)
		}
		count++
	}
	writes.End(arena, id, int(e.event), count)
	return nil
}

func (c *cache) prepare(s statement, host Host) (uint32, *Error) {
	for i := range c.statements {
		if c.statements[i].statement == s {
			return c.statements[i].id, nil
		}
	}
	id, err := prepareRow(host, c.table.rowop(s), c.table.writeSQL(s))
	if err != nil {
		return 0, AsError(err)
	}
	c.statements = append(c.statements, prepared{s, id})
	return id, nil
}

func prepareRow(host Host, statement rowop.Statement, sql string) (uint32, error) {
	if knowing, ok := host.(rowop.Host); ok {
		return knowing.PrepareRow(statement, sql)
	}
	return host.Prepare(sql)
}
