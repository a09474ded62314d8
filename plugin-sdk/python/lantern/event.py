"""What a plugin is given."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from . import codec
from .codec import scan
from .errors import BadInput, Invalid
from .frame import Events, NONE

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_UNREAD: Any = object()


class Event(Generic[T_co]):
    """One event of a batch. Nothing of it is decoded before it is asked for."""

    __slots__ = ("_batch", "_data", "_read", "index")

    def __init__(self, batch: Events, index: int, read: Callable[[Any], T_co]) -> None:
        self._batch = batch
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
        if data is not _UNREAD:
            return data  # type: ignore[no-any-return]
        batch, index = self._batch, self.index
        length = batch.payload_lens[index]
        if batch.is_ascii and length != NONE:
            # What is right, in the fewest steps.
            pos = batch.payloads[index]
            try:
                value, end = scan(batch.text[pos : pos + length], 0)
            except (StopIteration, ValueError):
                end = -1
            if end == length:
                try:
                    data = self._data = self._read(value)
                except Invalid as error:
                    raise self.bad_input(error) from None
                return data
        # What is wrong, or has space around it, or is not ASCII.
        data = self._data = self._decode(self._read)
        return data

    @property
    def type(self) -> str:
        """The event's type, as its envelope has it."""
        return self._batch.texts[self._batch.kinds[self.index]]

    @property
    def topic(self) -> str:
        """The topic that it was read from."""
        return self._batch.texts[self._batch.topics[self.index]]

    @property
    def partition(self) -> int:
        """The partition of that topic."""
        return self._batch.partitions[self.index]

    @property
    def offset(self) -> int:
        """Its offset in that partition."""
        return self._batch.offsets[self.index]

    @property
    def timestamp_ms(self) -> int:
        """The record's time in Unix milliseconds; -1 when it has none. This is the only clock there is."""
        return self._batch.timestamps[self.index]

    @property
    def key(self) -> bytes | None:
        """The record's key."""
        batch, index = self._batch, self.index
        pos, length = batch.keys[index], batch.key_lens[index]
        return None if length == NONE else batch.arena[pos : pos + length]

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
        batch, index = self._batch, self.index
        pos, length = batch.payloads[index], batch.payload_lens[index]
        return None if length == NONE else batch.arena[pos : pos + length]

    @property
    def text(self) -> str:
        """The event's data as text.

        Raises:
            BadInput: when it has none, or it is not UTF-8.
        """
        try:
            raw = self._raw()
            return raw if isinstance(raw, str) else str(raw, "utf-8")
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
        batch, index = self._batch, self.index
        return batch.header(index, name) if batch.headers_count[index] else None

    @property
    def headers(self) -> list[tuple[str, bytes | None]]:
        """All headers that the plugin asked for, in their order."""
        return list(self._batch.headers(self.index))

    def bad_input(self, reason: object) -> BadInput:
        """What to raise when the event cannot be understood: it names the event's coordinates."""
        return BadInput(f"{self}: {reason}", index=self.index)

    def __str__(self) -> str:
        """The event's coordinates: ``topic/partition@offset (type)``."""
        return f"{self.topic}/{self.partition}@{self.offset} ({self.type})"

    def _raw(self) -> str | bytes:
        batch, index = self._batch, self.index
        pos, length = batch.payloads[index], batch.payload_lens[index]
        if length == NONE:
            raise self.bad_input("it has no data: it is a tombstone")
        text = batch.text[pos : pos + length]
        return text if text.isascii() else batch.arena[pos : pos + length]

    def _decode(self, read: Callable[[Any], T]) -> T:
        try:
            return read(codec.parse(self._raw()))
        except Invalid as error:
            raise self.bad_input(error) from None


def _as_it_is(value: Any) -> Any:
    return value
