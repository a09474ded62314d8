"""What an upcaster is: old events in, events of today out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from . import codec
from .batch import Events
from .errors import LanternError, at_event
from .event import Event
from .frame import Value, write_rows
from .manifest import Envelope, Manifest
from .projection import _untyped, type_of

T = TypeVar("T")
Upcast = Callable[[Event[T]], object]


class Upcaster:
    """Turns old events of some topics into events of today, between the log and whoever reads it::

        accounts = Upcaster("accounts-v2", topics=["accounts"])

        @accounts.on(DepositedV1)
        def deposited(event: Event[DepositedV1]) -> Deposited:
            return Deposited(event.data.account, event.data.amount * 100)

    A function returns a dataclass, whose name is the new type, or a type and its payload: ``("Deposited", b"…")``, with
    bytes, text, or ``None`` for a tombstone. Everything else of the event stays as it is.
    """

    kind = "upcaster"

    def __init__(
        self,
        name: str,
        *,
        topics: Sequence[str],
        headers: Sequence[str] | None = (),
        envelope: Envelope | None = None,
        state_version: int = 1,
        version: str = "",
        description: str = "",
    ) -> None:
        self._manifest = Manifest(
            name,
            topics,
            headers=headers,
            envelope=envelope or Envelope.cloud_events(),
            state_version=state_version,
            version=version,
            description=description,
        )
        self._functions: dict[str, tuple[Upcast[Any], Callable[[Any], Any]]] = {}

    @property
    def manifest(self) -> Manifest:
        """What the host is told of it: the types that it upgrades are those of its functions."""
        return Manifest(**{**self._manifest.__dict__, "types": list(self._functions)})

    @overload
    def on(self, event: type[T], *, type: str | None = None) -> Callable[[Upcast[T]], Upcast[T]]: ...
    @overload
    def on(self, event: str) -> Callable[[Upcast[Any]], Upcast[Any]]: ...
    def on(self, event: Any, *, type: str | None = None) -> Callable[[Upcast[Any]], Upcast[Any]]:
        """Registers what upgrades one type of event: a dataclass, whose name is the type, or the type as text."""
        name = event if isinstance(event, str) else type or type_of(event)
        read = _untyped if isinstance(event, str) else codec.reader(event)
        if name in self._functions:
            raise ValueError(f"the upcaster {self._manifest.name!r} has two functions for {name!r}")

        def register(function: Upcast[Any]) -> Upcast[Any]:
            self._functions[name] = (function, read)
            return function

        return register

    def upcast(self, frame: bytes) -> bytes:
        """Upgrades a frame of events; answers a frame of rows. The host calls it."""
        events = Events(frame)
        rows: list[tuple[Value, Value]] = []
        for index, kind in enumerate(events.kinds):
            found = self._functions.get(events.texts[kind])
            event: Event[Any] = Event(events, index, found[1] if found else _untyped)
            if found is None:
                rows.append((event.type, event.payload))
                continue
            try:
                rows.append(_row(found[0](event)))
            except Exception as error:
                at_event(error, index)
                raise
        return write_rows(("type", "payload"), rows)


def _row(answer: object) -> tuple[Value, Value]:
    match answer:
        case (str() as kind, (bytes() | str() | None) as payload):
            return kind, payload
        case (str() as kind, data):
            return kind, codec.dump(data)
        case None:
            raise LanternError("an upcaster's function answered None: every event becomes one event")
        case _:
            return type_of(type(answer)), codec.dump(answer)
