"""What a plugin is given."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import codec
from .batch import Raw
from .core import native
from .errors import BadInput, Invalid

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Event(Raw, Generic[T_co]):
    """One event of a batch. Nothing of it is decoded before it is asked for."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def data(self) -> T_co: ...

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
    def text(self) -> str:
        """The event's data as text.

        Raises:
            BadInput: when it has none, or it is not UTF-8.
        """
        try:
            return str(self._bytes(), "utf-8")
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

    def bad_input(self, reason: object) -> BadInput:
        """What to raise when the event cannot be understood: it names the event's coordinates."""
        return BadInput(f"{self}: {reason}", index=self.index)

    def __str__(self) -> str:
        """The event's coordinates: ``topic/partition@offset (type)``."""
        return f"{self.topic}/{self.partition}@{self.offset} ({self.type})"

    def _bytes(self) -> bytes:
        payload = self.payload
        if payload is None:
            raise self.bad_input("it has no data: it is a tombstone")
        return payload

    def _decode(self, read: Callable[[Any], T]) -> T:
        try:
            return read(codec.parse(self._bytes()))
        except Invalid as error:
            raise self.bad_input(error) from None


def _as_it_is(value: Any) -> Any:
    return value


if native is not None:
    native.use(event=Event)
