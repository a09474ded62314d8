"""What a plugin is given."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from . import codec
from .errors import BadInput, Invalid
from .frame import Events, Fields, NONE

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_UNREAD: Any = object()


class Event(Generic[T_co]):
    """One event of a batch. Nothing of it is decoded before it is asked for."""

    __slots__ = ("_batch", "_data", "_fields", "_read", "index")

    def __init__(self, batch: Events, index: int, fields: Fields, read: Callable[[Any], T_co]) -> None:
        self._batch = batch
        self._fields = fields
        self._read = read
        self._data: Any = _UNREAD
        self.index = index
        """The event's place in its batch, counted from 0."""

    @property
    def data(self) -> T_co:
        """The event's JSON, as the class that its handler is for.

        Raises:
            BadInput: with the event's coordinates, when it is something else.
        """
        data = self._data
        if data is _UNREAD:
            data = self._data = self._decode(self._read)
        return cast(T_co, data)

    @property
    def type(self) -> str:
        """The event's type, as its envelope has it."""
        return self._batch.texts[self._fields[4]]

    @property
    def topic(self) -> str:
        """The topic that it was read from."""
        return self._batch.texts[self._fields[2]]

    @property
    def partition(self) -> int:
        """The partition of that topic."""
        return self._fields[3]

    @property
    def offset(self) -> int:
        """Its offset in that partition."""
        return self._fields[0]

    @property
    def timestamp_ms(self) -> int:
        """The record's time in Unix milliseconds; -1 when it has none. This is the only clock there is."""
        return self._fields[1]

    @property
    def key(self) -> bytes | None:
        """The record's key."""
        return self._batch.part(self._fields[5], self._fields[6])

    @property
    def key_text(self) -> str:
        """The record's key as text.

        Raises:
            BadInput: when there is none, or it is not UTF-8.
        """
        key = self.key
        if key is None:
            raise self.bad_input("it has no key")
        try:
            return key.decode()
        except UnicodeDecodeError as error:
            raise self.bad_input(f"its key is not text: {error}") from None

    @property
    def payload(self) -> bytes | None:
        """The event's data as bytes; ``None`` is a tombstone."""
        return self._batch.part(self._fields[7], self._fields[8])

    @property
    def text(self) -> str:
        """The event's data as text.

        Raises:
            BadInput: when it has none, or it is not UTF-8.
        """
        try:
            return str(self._view(), "utf-8")
        except UnicodeDecodeError as error:
            raise self.bad_input(f"its data is not text: {error}") from None

    def json(self) -> Any:
        """The event's data as JSON, whatever its type.

        Raises:
            BadInput: with line and column.
        """
        return self._decode(_as_it_is)

    def decode(self, expected: builtins.type[T]) -> T:
        """The event's JSON as another class than its handler's.

        Raises:
            BadInput: when it is something else.
        """
        return self._decode(codec.reader(expected))

    def header(self, name: str) -> bytes | None:
        """The first header of this name; ``None`` when there is none, or it has no value.

        Only headers that the plugin asked for are there.
        """
        for found, value in self._batch.headers(self._fields):
            if found == name:
                return value
        return None

    @property
    def headers(self) -> list[tuple[str, bytes | None]]:
        """All headers that the plugin asked for, in their order."""
        return list(self._batch.headers(self._fields))

    def bad_input(self, reason: object) -> BadInput:
        """What to raise when the event cannot be understood: it names the event's coordinates."""
        return BadInput(f"{self}: {reason}", index=self.index)

    def __str__(self) -> str:
        """The event's coordinates: ``topic/partition@offset (type)``."""
        return f"{self.topic}/{self.partition}@{self.offset} ({self.type})"

    def _view(self) -> memoryview:
        pos, length = self._fields[7], self._fields[8]
        if length == NONE:
            raise self.bad_input("it has no data: it is a tombstone")
        return self._batch.arena[pos : pos + length]

    def _decode(self, read: Callable[[Any], T]) -> T:
        try:
            return read(codec.parse(self._view()))
        except Invalid as error:
            raise self.bad_input(error) from None


def _as_it_is(value: Any) -> Any:
    return value
