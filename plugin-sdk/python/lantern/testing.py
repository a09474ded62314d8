"""Runs plugins in memory, by the code that runs them in the host, so that unit tests need no WebAssembly::

    def test_a_withdrawal_lowers_the_balance() -> None:
        model = ReadModel(balances)
        model.apply(Deposited("ada", 500), Withdrawn("ada", 200))
        assert model.rows("balances") == [{"account": "ada", "cents": 300}]

    def test_an_account_is_never_overdrawn() -> None:
        with pytest.raises(Rejection, match="overdrawn"):
            given(account, Deposited(500)).when(Withdraw(501))

    def test_old_deposits_have_cents() -> None:
        assert upcast(accounts, DepositedV1("ada", 5)) == ("Deposited", {"account": "ada", "cents": 500})
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from . import codec, frame
from .aggregate import Aggregate, Context
from .db import Db
from .errors import Fault, SqlError
from .frame import NewEvent
from .projection import Projection, type_of
from .upcaster import Upcaster

S = TypeVar("S")

__all__ = ["Given", "NewEvent", "ReadModel", "Sent", "event", "given", "upcast"]


def event(
    data: object,
    *,
    type: str | None = None,
    topic: str = "topic",
    partition: int = 0,
    offset: int = 0,
    timestamp_ms: int = 0,
    key: str | bytes | None = None,
    headers: Mapping[str, str | bytes | None] | None = None,
) -> NewEvent:
    """An event: a dataclass, whose name is its type; or a type and its data, as bytes, whatever has JSON, or ``None``."""
    return NewEvent(
        type=type or type_of(data.__class__),
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=timestamp_ms,
        key=key.encode() if isinstance(key, str) else key,
        payload=data if data is None or isinstance(data, bytes) else codec.dump(data),
        headers=[
            (name, value.encode() if isinstance(value, str) else value) for name, value in (headers or {}).items()
        ],
    )


@dataclass(frozen=True)
class Sent:
    """A command that a process manager wants sent."""

    key: str
    aggregate: str
    id: str
    command: str
    data: Any
    due_ms: int | None
    correlation: str | None
    causation: str | None


class ReadModel:
    """A projection and its tables, in memory."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._sqlite = sqlite3.connect(":memory:", isolation_level=None)
        for statement in projection.manifest.schema:
            self._sqlite.execute(statement)
        self._sqlite.execute(
            "CREATE TABLE _lantern_outbox (key TEXT PRIMARY KEY, aggregate TEXT NOT NULL, id TEXT NOT NULL, "
            "command TEXT NOT NULL, payload BLOB NOT NULL, due_ms INTEGER, correlation TEXT, causation TEXT)"
        )
        self._host = _Sqlite(self._sqlite)
        self._db = Db(self._host)
        self._offset = 0

    def apply(self, *events: object) -> ReadModel:
        """Applies a batch of events: dataclasses, or what :func:`event` makes. Offsets count up, unless they are given.

        Raises:
            Exception: what the projection raised. Nothing of the batch is left behind then.
        """
        made = []
        for each in events:
            new = each if isinstance(each, NewEvent) else event(each, topic=self._projection.manifest.topics[0])
            made.append(new if new.offset else new._replace(offset=self._offset))
            self._offset += 1
        types = self._projection.manifest.types
        batch = frame.write_events(new for new in made if not types or new.type in types)
        self._sqlite.execute("BEGIN")
        try:
            rest = self._projection.apply(batch, self._db)
            self._host.apply(rest)
        except BaseException:
            self._sqlite.execute("ROLLBACK")
            raise
        self._sqlite.execute("COMMIT")
        return self

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table, in the order of their values."""
        rows = self.query(f'SELECT * FROM "{table}"')
        return sorted(rows, key=lambda row: [(str(type(value)), value or 0) for value in row.values()])

    def query(self, sql: str, params: Mapping[str, object] | tuple[object, ...] = ()) -> list[dict[str, Any]]:
        """What a query answers; a query of the manifest can be given by its name."""
        known = self._projection.manifest.queries.get(sql)
        cursor = self._sqlite.execute(known.sql if known else sql, params)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    @property
    def sent(self) -> list[Sent]:
        """The commands that wait to be sent, by their keys."""
        return [
            Sent(**{**{k: v for k, v in row.items() if k != "payload"}, "data": json.loads(row["payload"])})
            for row in self.query("SELECT * FROM _lantern_outbox ORDER BY key")
        ]


class _Sqlite:
    """A host whose database is Python's own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._statements: list[str] = []

    def prepare(self, sql: str) -> int:
        try:
            self._connection.execute(f"EXPLAIN {sql}")
        except sqlite3.ProgrammingError:
            pass  # It is understood, and has parameters.
        except sqlite3.Error as error:
            raise SqlError(str(error)) from None
        self._statements.append(sql)
        return len(self._statements) - 1

    def apply(self, ops: bytes) -> int:
        changed = 0
        for op in frame.read_ops(ops):
            try:
                changed += self._connection.execute(self._statements[op.statement], op.values).rowcount
            except sqlite3.IntegrityError as error:
                raise SqlError(str(error), fault=Fault.CONFLICT, index=op.event) from None
            except sqlite3.Error as error:
                raise SqlError(str(error), index=op.event) from None
        return changed

    def query(self, statement: int, params: bytes, rows_max: int) -> bytes:
        try:
            cursor = self._connection.execute(self._statements[statement], frame.Rows(params).rows[0])
            rows = cursor.fetchmany(rows_max)
        except sqlite3.Error as error:
            raise SqlError(str(error)) from None
        return frame.write_rows([column[0] for column in cursor.description or ()], rows)


@dataclass(frozen=True)
class Given(Generic[S]):
    """An aggregate to which something has happened."""

    aggregate: Aggregate[S]
    state: S
    """The state that the events have led to."""
    version: int

    def when(
        self, command: object, *, id: str = "id", time_ms: int = 0, correlation: str | None = None
    ) -> list[object]:
        """The events that a command leads to.

        Raises:
            Rejection: when the domain says no.
        """
        context = Context(self.aggregate.manifest.name, id, self.version, time_ms, correlation)
        return self.aggregate.decided(self.state, command, context)


def given(aggregate: Aggregate[S], *events: object) -> Given[S]:
    """An aggregate to which these events have happened. State and events go through JSON, as they do in the host."""
    stored: bytes | None = None
    for each in events:
        stored = aggregate.evolve_frame(stored, frame.write_events([event(each, key="id")]))
    return Given(aggregate, aggregate._stored(stored), len(events))


def upcast(upcaster: Upcaster, old: object) -> tuple[str, Any]:
    """The type and data that an old event becomes: a dataclass, or what :func:`event` makes. A tombstone's data is ``None``."""
    new = old if isinstance(old, NewEvent) else event(old)
    rows = frame.Rows(upcaster.upcast(frame.write_events([new]))).rows
    kind, payload = rows[0]
    assert isinstance(kind, str)
    return kind, None if payload is None else json.loads(payload)  # type: ignore[arg-type]
