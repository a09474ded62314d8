"""What a projection is: a read model as a fold of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from . import codec
from .batch import Events
from .core import native
from .db import Db
from .errors import at_event
from .event import Event
from .manifest import Envelope, Manifest, Query

T = TypeVar("T")
Handler = Callable[[Event[T], Db], None]


def type_of(cls: type) -> str:
    """The event's or command's type that a class stands for: its name, unless it says otherwise by ``TYPE``."""
    name = getattr(cls, "TYPE", cls.__name__)
    if not isinstance(name, str):
        raise TypeError(f"{cls.__name__}.TYPE is not a text")
    return name


def _untyped(value: Any) -> Any:
    return value


class Projection:
    """A read model as a fold of events::

        balances = Projection("balances", topics=["accounts"], schema=["CREATE TABLE …"])

        @balances.on(Deposited)
        def deposited(event: Event[Deposited], db: Db) -> None:
            db.upsert(BALANCES, event.data.account).add(cents=event.data.cents)

    A handler must depend on nothing but the event and the tables. Whatever is kept in variables is gone at any time: what must
    last belongs into the tables. An exception takes the whole batch back; the host then applies what came before this event,
    and deals with the event by the projection's policy.

    The types of its handlers are the types that it reads; all, when there is one for ``"*"``.

    Args:
        name: Names the plugin and its read model: lower-case letters, digits, ``-`` and ``_``.
        topics: The topics that are read.
        schema: Statements that run in order on an empty database: tables, indexes, views.
        headers: The headers that are read; ``None``: all. Fewer are faster.
        envelope: Where an event's type stands, if it is not a CloudEvent.
        state_version: To be raised when the same events now give other rows.
        queries: Queries that are offered by name.
        sends: The aggregates that commands are sent to: it is then a process manager.
    """

    kind = "projection"

    def __init__(
        self,
        name: str,
        *,
        topics: Sequence[str],
        schema: Sequence[str] = (),
        headers: Sequence[str] | None = (),
        envelope: Envelope | None = None,
        state_version: int = 1,
        queries: Mapping[str, Query | str] | None = None,
        sends: Sequence[str] = (),
        version: str = "",
        description: str = "",
    ) -> None:
        if sends and headers is not None:
            # What is sent says by these what it was caused by.
            headers = [*headers, *(name for name in ("ce_id", "ce_correlationid") if name not in headers)]
        self._manifest = Manifest(
            name,
            topics,
            headers=headers,
            envelope=envelope or Envelope.cloud_events(),
            schema=schema,
            state_version=state_version,
            queries={
                each: Query(query) if isinstance(query, str) else query for each, query in (queries or {}).items()
            },
            sends=sends,
            version=version,
            description=description,
        )
        self._handlers: dict[str, tuple[Handler[Any], Callable[[Any], Any]]] = {}

    @property
    def manifest(self) -> Manifest:
        """What the host is told of it."""
        types = [] if "*" in self._handlers else list(self._handlers)
        return Manifest(**{**self._manifest.__dict__, "types": types})

    @overload
    def on(self, event: type[T], *, type: str | None = None) -> Callable[[Handler[T]], Handler[T]]: ...
    @overload
    def on(self, event: str) -> Callable[[Handler[Any]], Handler[Any]]: ...
    def on(self, event: Any, *, type: str | None = None) -> Callable[[Handler[Any]], Handler[Any]]:
        """Registers the handler of one type of event.

        Args:
            event: A dataclass, whose name is the type; or the type as text, with ``event.data`` any JSON; or ``"*"``, for
                all types that have no other handler.
            type: The type, where it is not the class's name.
        """
        name = event if isinstance(event, str) else type or type_of(event)
        read = _untyped if isinstance(event, str) else codec.reader(event)
        if name in self._handlers:
            raise ValueError(f"the projection {self._manifest.name!r} has two handlers for {name!r}")

        def register(handler: Handler[Any]) -> Handler[Any]:
            self._handlers[name] = (handler, read)
            return handler

        return register

    def apply(self, frame: bytes, db: Db) -> bytes:
        """Applies a frame of events; answers the frame of writes that were not handed over yet. The host calls it."""
        try:
            events = Events(frame)
            others = self._handlers.get("*")
            _run(events, [self._handlers.get(text, others) for text in events.texts], db)
            return db._finish()
        except Exception as error:
            index = db._event
            db._reset()
            at_event(error, index)
            raise


def _run(events: Events, handlers: Sequence[tuple[Handler[Any], Callable[[Any], Any]] | None], db: Db) -> None:
    """Gives each event to the handler of its type. Where one raises, the database has the event's place."""
    for index, kind in enumerate(events.kinds):
        found = handlers[kind]
        if found is None:
            continue
        handler, read = found
        db._event = index
        handler(Event(events, index, read), db)
        if db._grew:
            db._end()


if native is not None:
    _run = native.run
