"""What a projection writes: SQL and rows, gathered over a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import frame
from .core import native
from .errors import LanternError
from .frame import OpsWriter
from .rows import DELETED, Key, Row, Rows
from .table import Table
from .value import Value, value_of

if TYPE_CHECKING:
    from .command import Command
    from .event import Event
    from .host import Host

BUFFER_BYTES_MAX = 8 * 1024 * 1024
"""The most bytes that writes may take before they are handed to the host, in the middle of a batch if need be."""
ROWS_MAX = 100_000
"""The most rows that a query answers."""

_OUTBOX = Table(
    "_lantern_outbox",
    key="key",
    columns=["aggregate", "id", "command", "payload", "due_ms", "correlation", "causation"],
)


class _DbBase:
    """What the core knows of the database."""

    _event: int | None
    # Those rows that something was gathered of, in the order in which it began.
    _touched: dict[Table, Rows]
    # About what they take.
    _bytes: int
    # Whether the event has to be ended: most change rows that are there, and nothing else.
    _grew: bool


if not TYPE_CHECKING and native is not None:
    _DbBase = native.DbBase


class Db(_DbBase):
    """The read model, within the transaction of a batch.

    There are two ways to write, and both may be mixed:

    * **SQL**: :meth:`execute` and :meth:`query`.
    * **Rows** of a :class:`Table`: :meth:`put`, :meth:`upsert`, :meth:`update`, :meth:`delete` and :meth:`get`. What is
      written to one row many times in a batch reaches SQLite once, which is the fastest way to write.

    Writes are handed over when the batch ends, so an error of SQLite is only known then; it names the event that caused it
    all the same. Reading hands over what was written so far and then waits for it, so a projection that never reads is faster.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._statements: dict[str, int] = {}
        self._ops = OpsWriter()
        self._tables: dict[str, Rows] = {}
        self._touched = {}
        self._event = None
        self._bytes = 0
        self._grew = False
        # The first error of writes that were handed over: they are lost, whatever the plugin makes of it.
        self._error: LanternError | None = None

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Runs a statement that writes, with its parameters in order, when the batch ends or before a query.

        Raises:
            SqlError: when SQLite does not understand it.
        """
        self._flush_rows()
        self._ops.push(self._prepare(sql), self._event, _params(params))

    def query(self, sql: str, params: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Runs a statement that reads, on everything written so far; answers at most ``ROWS_MAX`` rows, by column name.

        Raises:
            SqlError: when SQLite refuses it, or something that was written before.
        """
        self._flush_rows()
        found = self._query(self._prepare(sql), _params(params))
        return [dict(zip(found.columns, row, strict=True)) for row in found.rows]

    def query_value(self, sql: str, params: Sequence[object] = ()) -> Any:
        """The first column of a query's first row; ``None`` when it has no row."""
        self._flush_rows()
        rows = self._query(self._prepare(sql), _params(params)).rows
        return rows[0][0] if rows else None

    def put(self, table: Table, key: Key, /, **columns: object) -> None:
        """Writes a whole row: all columns that the table declares."""
        self._rows(table).put(self, key, columns)

    def upsert(self, table: Table, key: Key) -> Row:
        """Writes some columns of a row, which is made if there is none.

        The columns that are not written then have their default, so those that are ``NOT NULL`` need one.
        """
        rows = self._rows(table)
        return rows.enter(self, rows.key(key), upsert=True)

    def update(self, table: Table, key: Key) -> Row:
        """Writes some columns of a row, if there is one."""
        rows = self._rows(table)
        return rows.enter(self, rows.key(key), upsert=False)

    def delete(self, table: Table, key: Key) -> None:
        """Deletes a row, if there is one."""
        self._rows(table).delete(self, key)

    def get(self, table: Table, key: Key) -> dict[str, Any] | None:
        """The declared columns of a row: as it was written in this batch, or else as the database has it.

        Raises:
            SqlError: when SQLite refuses something that was written before.
        """
        rows = self._rows(table)
        key = rows.key(key)
        row = rows.known(self, key)
        if row is None or not row._known:
            if row is not None:
                # The row was written in part: the database puts the parts together.
                self._flush_rows()
                rows = self._rows(table)
            parts: list[Value] = list(key) if isinstance(key, tuple) else [key]
            found = self._query(rows.select_id(self._host), parts).rows
            row = rows.load(self, key, found[0] if found else None)
        if row._absent or row._pending == DELETED:
            return None
        return dict(zip(table.columns, row._values, strict=True))

    def send(self, event: Event[Any], key: str, command: Command) -> None:
        """Sends a command because of this event, once it is applied. The projection names the aggregate in ``sends``.

        ``key`` says which command of the process it is: ``transfer-7/debit``. It is the command's idempotency key, so that
        it has its effect once, whatever is killed and however often the events are replayed. So it must follow from the
        events, and each command of a process needs its own. Sending under a key that was not sent yet replaces the command.

        The answer comes as an event: of the aggregate's topic when it is accepted, of the topic with ``.decisions`` behind
        its name when it is rejected.
        """
        cause, correlation = _header(event, "ce_id"), _header(event, "ce_correlationid")
        self.put(
            _OUTBOX,
            key,
            aggregate=command.aggregate,
            id=command.id,
            command=command.name,
            payload=command.payload,
            due_ms=command.due_ms,
            # What an event without a correlation begins is known by that event.
            correlation=cause if correlation is None else correlation,
            causation=cause,
        )

    def cancel(self, key: str) -> None:
        """Takes a command back that was not sent yet, such as a timeout that did not come to pass."""
        self.delete(_OUTBOX, key)

    def _prepare(self, sql: str) -> int:
        statement = self._statements.get(sql)
        if statement is None:
            statement = self._statements[sql] = self._host.prepare(sql)
        return statement

    def _query(self, statement: int, params: list[Value]) -> frame.Rows:
        self._flush_ops()
        return frame.Rows(self._host.query(statement, frame.write_rows((), [params]), ROWS_MAX))

    def _rows(self, table: Table) -> Rows:
        rows = self._tables.get(table.name)
        if rows is None:
            rows = self._tables[table.name] = Rows(table)
        elif rows.table is not table and (rows.table.key, rows.table.columns) != (table.key, table.columns):
            raise LanternError(
                f"table `{table.name}` is declared twice, with columns {rows.table.columns} and {table.columns}: "
                "declare each table once"
            )
        self._touched[table] = rows
        return rows

    def _grow(self, size: int) -> None:
        """Counts what is gathered."""
        self._bytes += size
        self._grew = True

    def _flush_rows(self) -> None:
        """Turns the rows gathered so far into writes."""
        self._grew = True
        for rows in self._touched.values():
            rows.flush(self._host, self._ops)
        self._touched.clear()
        self._bytes = 0

    def _flush_ops(self) -> None:
        """Hands the writes gathered so far to the host."""
        if not self._ops.count:
            return
        try:
            self._host.apply(self._ops.take())
        except LanternError as error:
            self._error = self._error or error
            self._grew = True
            raise

    def _end(self) -> None:
        """Ends an event: what it wrote must be right, and must not take too much memory."""
        self._grew = False
        if self._error is not None:
            raise self._error
        if self._bytes + len(self._ops.arena) > BUFFER_BYTES_MAX:
            self._flush_rows()
            self._flush_ops()

    def _finish(self) -> bytes:
        """Ends a batch: the frame of all writes that the host has not seen yet."""
        self._event = None
        self._flush_rows()
        return self._ops.take()

    def _reset(self) -> None:
        """Forgets everything that was written. Statements stay: they are the instance's, not the transaction's."""
        self._ops = OpsWriter()
        for rows in self._tables.values():
            rows.clear()
        self._touched.clear()
        self._event = None
        self._error = None
        self._bytes = 0
        self._grew = False


if native is not None:
    # The core does what is usual, and leaves the rest to these.
    native.use(upsert=Db.upsert, put=Db.put)
    for _name in ("upsert", "put"):
        setattr(Db, _name, getattr(_DbBase, _name))


def _params(params: Sequence[object]) -> list[Value]:
    if params.__class__ is str or params.__class__ is bytes:
        raise LanternError("the parameters are one text: give a tuple or list, `(value,)`")
    return [value_of(value) for value in params]


def _header(event: Event[Any], name: str) -> str | None:
    value = event.header(name)
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
