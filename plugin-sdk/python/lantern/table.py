"""Tables whose rows are gathered over a batch, and the statements that write them."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import LanternError

COLUMNS_MAX = 64


class Table:
    """A table that is written row by row, declared once::

        ORDERS = Table("orders", key="order_id", columns=["customer_id", "status", "total_cents"])

    The table itself is made by the plugin's schema. Of the rows that a batch writes, each reaches SQLite once, in the
    order in which they were first written, table by table. That is the same as writing at once as long as rows do not
    depend on each other; where they do, by a trigger, a foreign key or a second unique constraint, use ``db.execute``.
    What it needs of the table:

    * the key columns are its primary key or a unique index, and compare byte by byte (no ``COLLATE NOCASE``);
    * the values written to a column are of the column's type;
    * a column that is added to, or is a maximum or minimum, has no ``DEFAULT``, or, if added to, 0.
    """

    __slots__ = ("columns", "key", "name", "places")

    def __init__(self, name: str, *, key: str | Sequence[str], columns: Sequence[str] = ()) -> None:
        self.name = name
        self.key = (key,) if isinstance(key, str) else tuple(key)
        self.columns = tuple(columns)
        self.places = _Places(self)
        if not self.key:
            raise ValueError(f"the table {name!r} needs a key")
        if len(self.columns) > COLUMNS_MAX:
            raise ValueError(f"the table {name!r} has more than {COLUMNS_MAX} columns beside its key")


class _Places(dict[str, int]):
    """The columns' places, by their names."""

    def __init__(self, table: Table) -> None:
        super().__init__((column, place) for place, column in enumerate(table.columns))
        self._table = table

    def __missing__(self, name: str) -> int:
        table = self._table
        raise LanternError(f"table `{table.name}` declares no column `{name}`, only {', '.join(table.columns)}")


UPSERT, UPDATE, DELETE = "upsert", "update", "delete"

Columns = tuple[int, int, int, int]
"""Which columns are written, added to, raised and lowered, as bits by their places."""


def places(written: int) -> list[int]:
    """The places of the bits that are set."""
    return [place for place in range(written.bit_length()) if written >> place & 1]


def write_sql(table: Table, verb: str, columns: Columns) -> str:
    """The statement for a verb and columns. Its parameters are the key, then the columns by place."""
    name, written = _quoted(table.name), places(columns[0])
    if verb == DELETE:
        return f"DELETE FROM {name}{_where(table)}"
    if verb == UPDATE:
        new = [f"?{len(table.key) + nth + 1}" for nth in range(len(written))]
        return f"UPDATE {name} SET {_assignments(table, columns, new)}{_where(table)}"
    names = [*table.key, *(table.columns[place] for place in written)]
    marks = ", ".join("?" * len(names))
    sql = f"INSERT INTO {name} ({_list(names)}) VALUES ({marks}) ON CONFLICT ({_list(table.key)}) DO "
    if not written:
        return sql + "NOTHING"
    new = [f"excluded.{_quoted(table.columns[place])}" for place in written]
    return f"{sql}UPDATE SET {_assignments(table, columns, new)}"


def read_sql(table: Table) -> str:
    """The statement that reads the declared columns of a row by its key."""
    # Only a qualified name is surely a column: a bare one that is misspelt would be a text.
    name = _quoted(table.name)
    columns = ", ".join(f"{name}.{_quoted(column)}" for column in table.columns) or "1"
    return f"SELECT {columns} FROM {name}{_where(table)}"


def _assignments(table: Table, columns: Columns, values: list[str]) -> str:
    written, add, most, least = columns
    parts = []
    for place, new in zip(places(written), values, strict=True):
        column = _quoted(table.columns[place])
        old = f"{_quoted(table.name)}.{column}"
        if add >> place & 1:
            new = f"ifnull({old}, 0) + {new}"
        elif most >> place & 1:
            new = f"max(ifnull({old}, {new}), {new})"
        elif least >> place & 1:
            new = f"min(ifnull({old}, {new}), {new})"
        parts.append(f"{column} = {new}")
    return ", ".join(parts)


def _where(table: Table) -> str:
    name = _quoted(table.name)
    parts = [f"{name}.{_quoted(column)} = ?{nth + 1}" for nth, column in enumerate(table.key)]
    return " WHERE " + " AND ".join(parts)


def _list(names: Sequence[str]) -> str:
    return ", ".join(_quoted(name) for name in names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
