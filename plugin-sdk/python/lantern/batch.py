"""The events of a batch, as they lie in their frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .core import native
from .errors import MangledFrame
from .frame import EVENT, EVENTS, HEADER_ENTRY, NONE, parse
from .value import outside

_UNREAD: Any = object()


class Events:
    """A frame of events, checked as a whole."""

    __slots__ = ("arena", "items", "kinds", "texts")

    def __init__(self, frame: bytes) -> None:
        layout = parse(frame, EVENTS, EVENT.size)
        self.texts, self.arena = layout.texts, layout.arena
        self.items: list[tuple[int, ...]] = [
            EVENT.unpack_from(layout.index, n * layout.stride) for n in range(layout.count)
        ]
        # Of each event the place of its type among the texts.
        self.kinds = [item[4] for item in self.items]
        used = 0
        for _, _, topic, _, kind, key, key_bytes, payload, payload_bytes, headers, count, _ in self.items:
            if max(topic, kind) >= len(self.texts):
                raise outside("the topic or type")
            used += self._used(key, key_bytes, "the key") + self._used(payload, payload_bytes, "the payload")
            used += self._used(headers, count * HEADER_ENTRY.size, "the headers")
            # Before they are looked at: they must not be gone through more often than there are bytes.
            for name, value, length in self.entries(headers, count) if used <= len(self.arena) else ():
                if name >= len(self.texts):
                    raise outside("a header's name")
                used += self._used(value, length, "a header")
            if used > len(self.arena):
                raise _mangled("")

    def _used(self, pos: int, length: int, what: str) -> int:
        if length == NONE:
            return 0
        if pos + length > len(self.arena):
            raise outside(what)
        return length

    def entries(self, at: int, count: int) -> list[tuple[int, ...]]:
        """Of each header its name's place among the texts, and where its value is."""
        return list(HEADER_ENTRY.iter_unpack(self.arena[at : at + count * HEADER_ENTRY.size]))

    def part(self, pos: int, length: int) -> bytes | None:
        """A key, payload or header."""
        return None if length == NONE else self.arena[pos : pos + length]


class Raw:
    """One event of a batch, as it was read. Nothing of it is decoded before it is asked for."""

    __slots__ = ("_batch", "_data", "_item", "_read", "index")

    def __init__(self, batch: Events, index: int, read: Callable[[Any], Any]) -> None:
        self._batch = batch
        self._item = batch.items[index]
        self._read = read
        self._data: Any = _UNREAD
        self.index = index
        """The event's place in its batch, counted from 0."""

    @property
    def data(self) -> Any:
        """The event's JSON, as the class that its handler is for.

        Raises:
            BadInput: with the event's coordinates, when it is something else.
        """
        if self._data is _UNREAD:
            self._data = self._decode(self._read)
        return self._data

    @property
    def type(self) -> str:
        """The event's type, as its envelope has it."""
        return self._batch.texts[self._item[4]]

    @property
    def topic(self) -> str:
        """The topic that it was read from."""
        return self._batch.texts[self._item[2]]

    @property
    def partition(self) -> int:
        """The partition of that topic."""
        return self._item[3]

    @property
    def offset(self) -> int:
        """Its offset in that partition."""
        return self._item[0]

    @property
    def timestamp_ms(self) -> int:
        """The record's time in Unix milliseconds; -1 when it has none. This is the only clock there is."""
        return self._item[1]

    @property
    def key(self) -> bytes | None:
        """The record's key."""
        return self._batch.part(*self._item[5:7])

    @property
    def payload(self) -> bytes | None:
        """The event's data as bytes; ``None`` is a tombstone."""
        return self._batch.part(*self._item[7:9])

    @property
    def headers(self) -> list[tuple[str, bytes | None]]:
        """All headers that the plugin asked for, in their order."""
        batch = self._batch
        return [(batch.texts[name], batch.part(*value)) for name, *value in batch.entries(*self._item[9:11])]

    def header(self, name: str) -> bytes | None:
        """The first header of this name; ``None`` when there is none, or it has no value.

        Only headers that the plugin asked for are there.
        """
        return next((value for found, value in self.headers if found == name), None)

    def _decode(self, read: Callable[[Any], Any]) -> Any:
        raise NotImplementedError


def _mangled(what: str) -> MangledFrame:
    return outside(what) if what else MangledFrame("bounds", "its items use bytes of the arena twice")


if not TYPE_CHECKING and native is not None:

    def _refuse(what: str) -> None:
        raise _mangled(what)

    native.use(parse=lambda frame: parse(frame, EVENTS, EVENT.size).texts, refuse=_refuse)
    Events, Raw = native.Events, native.Raw
