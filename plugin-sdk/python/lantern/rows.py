"""The rows of one table that a batch writes: found by key, changed in memory, flushed as writes.

The order is that of first writing, so the same batch always gives the same writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .core import native
from .errors import LanternError
from .frame import OpsWriter
from .table import DELETE, UPDATE, UPSERT, Columns, Table, places, read_sql, write_sql
from .value import Value, decode, encode, value_of

if TYPE_CHECKING:
    from .db import Db
    from .host import Host

UNCHANGED, SET, ADD, MAX, MIN = range(5)
"""How a column is changed."""
# What is to be written of a row.
NOTHING, UPSERTED, UPDATED, DELETED, REPLACED, FLUSHED = range(6)
_VERBS = {
    NOTHING: (),
    UPSERTED: (UPSERT,),
    UPDATED: (UPDATE,),
    DELETED: (DELETE,),
    REPLACED: (DELETE, UPSERT),
}

_LEAST, _MOST = -(2**63), 2**63 - 1
# About what a row takes beside its long texts.
_ROW_BYTES = 160
_LONG = 64

Key = str | int | bytes | bool | tuple[str | int | bytes | bool, ...]
_KEYS = frozenset((str, int, bytes))

# A row that was put and not touched since: the event, and the bytes of its key and values as they are written.
Whole = tuple[int | None, bytes]


class _RowBase:
    """What a row has."""

    __slots__ = (
        "_absent",
        "_db",
        "_event",
        "_key",
        "_kinds",
        "_known",
        "_pending",
        "_places",
        "_rows",
        "_values",
    )


class _RowsBase:
    """What the core knows of the rows of a table."""

    __slots__ = ("columns", "parts", "rows")


if not TYPE_CHECKING and native is not None:
    _RowBase, _RowsBase = native.RowBase, native.RowsBase


class Row(_RowBase):
    """A row that is being written. Columns are named as keyword arguments."""

    __slots__ = ()

    def __init__(self, db: Db, rows: Rows, key: Any) -> None:
        self._db = db
        self._rows = rows
        self._places = rows.table.places
        self._key = key
        # The last event that touched the row.
        self._event: int | None = None
        self._pending = NOTHING
        self._values: list[Value] = [None] * rows.width
        # By the columns' places: how each is changed.
        self._kinds = rows.unchanged.copy()
        # All values are the row's, or it is known that there is no row.
        self._known = False
        # There is no row in the database.
        self._absent = False

    def set(self, /, **columns: object) -> Row:
        """Sets columns."""
        row = self._current()
        for name, value in columns.items():
            row = row._change(name, SET, value_of(value))
        return row

    def add(self, /, **columns: int) -> Row:
        """Adds to columns of integers; NULL counts as 0."""
        return self._change_all(ADD, columns)

    def max(self, /, **columns: int) -> Row:
        """Raises columns of integers to these, where they are less or NULL."""
        return self._change_all(MAX, columns)

    def min(self, /, **columns: int) -> Row:
        """Lowers columns of integers to these, where they are more or NULL."""
        return self._change_all(MIN, columns)

    def _change_all(self, change: int, columns: Mapping[str, int]) -> Row:
        row = self._current()
        for name, value in columns.items():
            row = row._change(name, change, _integer(name, value))
        return row

    def _current(self) -> Row:
        """This row, or the one that stands for it since what was gathered was written."""
        if self._pending != FLUSHED:
            return self
        # A row that was flushed keeps in `_absent` whether it was to be made.
        return self._db._rows(self._rows.table).enter(self._db, self._key, upsert=self._absent)

    def _change(self, name: str, change: int, value: Any) -> Row:
        place = self._places[name]
        kinds, values = self._kinds, self._values
        before = kinds[place]
        if change == SET or (before == UNCHANGED and not self._known):
            # It does not matter, or it is not known, what the column was: the change itself is gathered.
            kinds[place] = change
            values[place] = value
            if value.__class__ is not int and value.__class__ in (str, bytes) and len(value) > _LONG:
                self._db._grow(len(value))
            return self
        # The column's value, or what is to be added to it, is known, and changes here.
        old = values[place]
        if before != change:
            if before > SET:
                return self._change_anew(name, change, value)
            kinds[place] = SET
            if old is None:
                values[place] = value
                return self
        if old.__class__ is not int:
            return self._change_anew(name, change, value)
        if change == ADD:
            merged = old + value
            if not _LEAST <= merged <= _MOST:
                # Only now: the failed sum leaves the column as it was.
                kinds[place] = before
                return self._change_anew(name, change, value)
            values[place] = merged
        elif (value > old) == (change == MAX):
            values[place] = value
        return self

    def _change_anew(self, name: str, change: int, value: Any) -> Row:
        """What is gathered and what comes now are not one change: the first is written, the second begins anew."""
        upsert = self._pending != UPDATED
        self._db._flush_rows()
        rows = self._db._rows(self._rows.table)
        return rows.insert(self._db, self._key, upsert)._change(name, change, value)


def _columns(kinds: bytes) -> Columns:
    """How columns are changed, as bits by their places."""

    def bits(*wanted: int) -> int:
        return sum(1 << place for place, kind in enumerate(kinds) if kind in wanted)

    return bits(SET, ADD, MAX, MIN), bits(ADD), bits(MAX), bits(MIN)


def _integer(name: str, value: object) -> int:
    number = value_of(value)
    if number.__class__ is not int:
        raise LanternError(f"column `{name}`: {value!r} is no integer, and only those are added and compared")
    assert isinstance(number, int)
    return number


if native is not None:
    # The core does what is usual, and leaves the rest to these.
    native.use(row=Row, set=Row.set, add=Row.add, max=Row.max, min=Row.min)
    for _name in ("set", "add", "max", "min"):
        setattr(Row, _name, getattr(_RowBase, _name))


class Rows(_RowsBase):
    """The rows of a table."""

    __slots__ = ("select", "statements", "table", "unchanged", "width")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns = table.columns
        self.parts = len(table.key)
        self.width = len(table.columns)
        self.unchanged = [UNCHANGED] * self.width
        self.rows: dict[Any, Row | Whole] = {}
        # Statements that write, by what they write, with the places of their columns.
        self.statements: dict[tuple[str, bytes], tuple[int, list[int]]] = {}
        self.select: int | None = None

    def key(self, key: Any) -> Any:
        """A key, checked: reals and NULL have no place in one, since what is equal must be equal byte for byte."""
        width = len(self.table.key)
        if width == 1 and key.__class__ is not tuple:
            return self._part(key)
        if key.__class__ is not tuple or len(key) != width:
            given = len(key) if key.__class__ is tuple else 1
            raise LanternError(
                f"a key of `{self.table.name}` has the parts {', '.join(self.table.key)}; {given} were given"
            )
        parts = tuple(self._part(part) for part in key)
        return parts[0] if width == 1 else parts

    def _part(self, part: Any) -> Any:
        part = value_of(part)
        if part is None or part.__class__ is float:
            raise LanternError(f"a key of `{self.table.name}` has {part!r}: keys are texts, integers and blobs")
        return part

    def known(self, db: Db, key: Any) -> Row | None:
        """The row of a checked key, if anything was gathered of it."""
        row = self.rows.get(key)
        if isinstance(row, tuple):
            event, encoded = row
            row = self.rows[key] = Row(db, self, key)
            row._values = decode(encoded, 0, len(encoded), len(self.table.key) + self.width)[len(self.table.key) :]
            row._kinds = [SET] * self.width
            row._pending, row._known, row._event = UPSERTED, True, event
        return row

    def row(self, db: Db, key: Any) -> Row:
        """The row of a checked key, made if it is not there."""
        row = self.known(db, key)
        if row is None:
            row = self.rows[key] = Row(db, self, key)
            db._grow(_ROW_BYTES)
        return row

    def enter(self, db: Db, key: Any, *, upsert: bool) -> Row:
        """Enters a row to write columns of it."""
        row = self.known(db, key)
        if row is None:
            row = self.row(db, key)
            pending = UPSERTED if upsert else UPDATED
        else:
            pending = row._pending
            if pending == NOTHING:
                if row._absent and not upsert:
                    return self._nowhere(db, key)
                # If it was read and is there, it is there to be updated.
                pending = UPSERTED if row._absent else UPDATED
            elif pending == DELETED:
                if not upsert:
                    return self._nowhere(db, key)
                pending = REPLACED
            elif pending == UPDATED and upsert and not row._known:
                # The update may have met no row, which the upsert now makes: two writes, not one.
                db._flush_rows()
                return db._rows(self.table).insert(db, key, upsert)
            if row._absent or row._pending == DELETED:
                # A new row's other columns have defaults, which only the database knows.
                row._known = False
                row._absent = False
        row._pending = pending
        row._event = db._event
        return row

    def insert(self, db: Db, key: Any, upsert: bool) -> Row:
        """Enters a row that nothing is gathered of."""
        row = self.row(db, key)
        row._pending = UPSERTED if upsert else UPDATED
        row._event = db._event
        return row

    def _nowhere(self, db: Db, key: Any) -> Row:
        """Takes writes to a row that is not there, and loses them."""
        row = Row(db, self, key)
        row._pending = UPDATED
        return row

    def put(self, db: Db, key: Any, columns: Mapping[str, object]) -> None:
        """Writes a whole row."""
        table = self.table
        given: Iterable[object] = columns.values()
        if tuple(columns) != table.columns:
            if columns.keys() != table.places.keys():
                raise LanternError(
                    f"{', '.join(columns) or 'nothing'} was put into `{table.name}`, "
                    f"which declares {', '.join(table.columns)}"
                )
            given = [columns[name] for name in table.columns]
        if key.__class__ is tuple and len(key) == len(table.key) > 1 and _KEYS.issuperset(map(type, key)):
            encoded = encode((*key, *given))
        else:
            key = self.key(key)
            encoded = encode((*key, *given) if key.__class__ is tuple else (key, *given))
        row = self.rows.get(key)
        db._grow(len(encoded) if row is not None else len(encoded) + _ROW_BYTES)
        if row is None or isinstance(row, tuple):
            self.rows[key] = db._event, encoded
            return
        row._pending = REPLACED if row._pending in (DELETED, REPLACED) else UPSERTED
        row._values = [value_of(value) for value in given]
        row._kinds = [SET] * self.width
        row._known, row._absent, row._event = True, False, db._event

    def delete(self, db: Db, key: Any) -> None:
        """Deletes a row."""
        row = self.row(db, self.key(key))
        if not row._absent:
            row._pending = DELETED
            row._kinds = [UNCHANGED] * self.width
            row._known, row._event = True, db._event

    def load(self, db: Db, key: Any, stored: list[Value] | None) -> Row:
        """Enters a row as the database has it."""
        row = self.row(db, key)
        row._known = True
        row._absent = stored is None
        if stored is not None:
            row._values = stored[: self.width]
        return row

    def select_id(self, host: Host) -> int:
        """The statement that reads a row by its key."""
        if self.select is None:
            self.select = host.prepare(read_sql(self.table))
        return self.select

    def flush(self, host: Host, ops: OpsWriter) -> None:
        """Turns all rows into writes, and forgets them."""
        parts = len(self.table.key)
        statements = self.statements
        push = ops.push
        rows, self.rows = self.rows, {}
        whole: list[Whole] = []
        for row in rows.values():
            if isinstance(row, tuple):
                whole.append(row)
                continue
            if whole:
                self._flush_whole(host, ops, whole)
                whole = []
            pending, changes = row._pending, row._kinds
            key = [row._key] if parts == 1 else list(row._key)
            # Whoever still holds the row enters it again, in the way that it was entered: no column is changed.
            row._absent = pending != UPDATED
            row._pending, row._kinds = FLUSHED, self.unchanged
            for verb in _VERBS[pending]:
                kinds = bytes(self.unchanged if verb == DELETE else changes)
                known = statements.get((verb, kinds))
                if known is None:
                    if verb == UPDATE and not any(kinds):
                        continue
                    known = self._prepare(host, verb, kinds, row._event)
                statement, written = known
                values = row._values
                push(statement, row._event, key + [values[place] for place in written])
        if whole:
            self._flush_whole(host, ops, whole)

    def _flush_whole(self, host: Host, ops: OpsWriter, whole: list[Whole]) -> None:
        kinds = bytes((SET,)) * self.width
        known = self.statements.get((UPSERT, kinds)) or self._prepare(host, UPSERT, kinds, whole[0][0])
        ops.extend(known[0], len(self.table.key) + self.width, whole)

    def _prepare(self, host: Host, verb: str, kinds: bytes, event: int | None) -> tuple[int, list[int]]:
        columns = _columns(kinds)
        try:
            statement = host.prepare(write_sql(self.table, verb, columns))
        except LanternError as error:
            if error.index is None:
                error.index = event
            raise
        known = self.statements[verb, kinds] = (statement, places(columns[0]))
        return known

    def clear(self) -> None:
        """Forgets all rows."""
        self.rows = {}
