"""What a command handler is: a state, and functions that decide and evolve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from . import codec
from .batch import Events
from .errors import BadInput, Invalid, LanternError, MangledFrame, at_event
from .event import Event
from .frame import Rows, write_rows
from .manifest import Manifest
from .projection import type_of

S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E")


@dataclass(frozen=True)
class Context:
    """What a command is decided in, beside the state."""

    aggregate: str
    """The aggregate's type."""
    id: str
    """Which of them."""
    version: int
    """How many events it has had: 0 means that it is not there yet."""
    time_ms: int
    """The time of the decision in Unix milliseconds. What depends on it belongs into the events."""
    correlation: str | None = None
    """The correlation id: what belongs together carries the same."""


class Rejection(Exception):
    """The domain says no. That is an answer, which the caller gets and which is not tried again::

        raise Rejection("overdrawn", f"the account has {state.cents} cents", {"missing": missing})

    Args:
        code: For programs.
        message: For people, in a sentence.
        detail: More for programs: whatever has JSON.
    """

    def __init__(self, code: str, message: str, detail: object = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.detail = detail


Decide = Callable[[S, C, Context], Iterable[object] | None]
Evolve = Callable[[S, E], S | None]


class Aggregate(Generic[S]):
    """One thing of which there are many, each with its own history of events: an account, an order::

        account = Aggregate("account", topic="accounts", state=Account)

        @account.decide(Deposit)
        def deposit(state: Account, command: Deposit, context: Context) -> list[Deposited]:
            return [Deposited(command.cents)]

        @account.evolve(Deposited)
        def deposited(state: Account, event: Deposited) -> None:
            state.cents += event.cents

    Args:
        name: The aggregate's type.
        topic: The one topic that its events are appended to.
        state: A dataclass: one of them. ``state()`` is what it is before the first event. The host keeps it as JSON, so
            whatever is decided on has to be in it.
        state_version: To be raised when the state has another form: states are then folded anew from the events.
    """

    kind = "aggregate"

    def __init__(
        self,
        name: str,
        *,
        topic: str,
        state: type[S],
        state_version: int = 1,
        version: str = "",
        description: str = "",
    ) -> None:
        self._manifest = Manifest(
            name, [topic], state_version=state_version, version=version, description=description
        )
        self._state = state
        self._read_state = codec.reader(state)
        self._deciders: dict[str, tuple[Decide[S, Any], Callable[[Any], Any]]] = {}
        self._evolvers: dict[str, tuple[Evolve[S, Any], Callable[[Any], Any]]] = {}

    @property
    def manifest(self) -> Manifest:
        """What the host is told of it."""
        return self._manifest

    def decide(self, command: type[C]) -> Callable[[Decide[S, C]], Decide[S, C]]:
        """Registers what decides a command, whose name is its class's: which events happen. None means that nothing has to."""
        name = type_of(command)
        if name in self._deciders:
            raise ValueError(f"the aggregate {self._manifest.name!r} decides {name!r} twice")

        def register(function: Decide[S, C]) -> Decide[S, C]:
            self._deciders[name] = (function, codec.reader(command))
            return function

        return register

    def evolve(self, event: type[E]) -> Callable[[Evolve[S, E]], Evolve[S, E]]:
        """Registers what remembers an event: it changes the state, or returns a new one. It must not fail: the event has
        happened. What was once appended is read for ever, so classes and fields are only added.
        """
        name = type_of(event)
        if name in self._evolvers:
            raise ValueError(f"the aggregate {self._manifest.name!r} evolves {name!r} twice")

        def register(function: Evolve[S, E]) -> Evolve[S, E]:
            self._evolvers[name] = (function, codec.reader(event))
            return function

        return register

    def decided(self, state: S, command: object, context: Context) -> list[object]:
        """The events that a command leads to.

        Raises:
            Rejection: when the domain says no.
        """
        name = type_of(type(command))
        if name not in self._deciders:
            raise BadInput(f"{context.aggregate} {context.id}: there is no command {name}")
        events = list(self._deciders[name][0](state, command, context) or ())
        for event in events:
            if type_of(type(event)) not in self._evolvers:
                raise LanternError(
                    f"{context.aggregate} {context.id}: {name} led to {type_of(type(event))}, which nothing evolves: "
                    "register a function for it with `evolve`"
                )
        return events

    def evolved(self, state: S, event: object) -> S:
        """The state after an event."""
        found = self._evolvers[type_of(type(event))][0](state, event)
        return state if found is None else found

    def initial(self) -> S:
        """The state before the first event."""
        return self._state()

    def decide_frame(self, frame: bytes) -> bytes:
        """Decides the command of a frame; answers a frame of events. The host calls it."""
        request = _request(frame)
        context = Context(
            aggregate=request["aggregate"],
            id=request["id"],
            version=request["version"],
            time_ms=request["time_ms"],
            correlation=request["correlation"],
        )
        state = self._stored(request["state"])
        name = request["command"]
        decider = self._deciders.get(name)
        if decider is None:
            known = ", ".join(sorted(self._deciders))
            raise BadInput(f"{context.aggregate} {context.id}: there is no command {name}, only {known}")
        try:
            command = decider[1](codec.parse(request["payload"]))
        except Invalid as error:
            raise BadInput(f"{context.aggregate} {context.id}: the command {name}: {error}") from None
        events = self.decided(state, command, context)
        return write_rows(("type", "payload"), [(type_of(type(event)), codec.dump(event)) for event in events])

    def evolve_frame(self, stored: bytes | None, frame: bytes) -> bytes:
        """Applies a frame of events to a state; answers the new one. The host calls it."""
        state = self._stored(stored)
        events = Events(frame)
        for index, place in enumerate(events.kinds):
            kind = events.texts[place]
            evolver = self._evolvers.get(kind)
            event: Event[Any] = Event(events, index, evolver[1] if evolver else _refuse)
            try:
                if evolver is None:
                    raise event.bad_input(f"nothing evolves {kind}: register a function for it with `evolve`")
                found = evolver[0](state, event.data)
            except Exception as error:
                at_event(error, index)
                raise
            state = state if found is None else found
        return codec.dump(state)

    def _stored(self, stored: bytes | None) -> S:
        if stored is None:
            return self.initial()
        try:
            return self._read_state(codec.parse(stored))
        except Invalid as error:
            raise LanternError(
                f"the stored state is not of this form: {error}; raise the aggregate's state_version"
            ) from None


# The columns of a command, and the kinds of value that each may have.
_REQUEST: dict[str, tuple[type, ...]] = {
    "aggregate": (str,),
    "id": (str,),
    "version": (int,),
    "state": (bytes, str, type(None)),
    "command": (str,),
    "payload": (bytes, str),
    "time_ms": (int,),
    "correlation": (str, type(None)),
}


def _request(frame: bytes) -> dict[str, Any]:
    rows = Rows(frame)
    if not rows.rows:
        raise MangledFrame("column", "a command without a row")
    request: dict[str, Any] = dict(zip(rows.columns, rows.rows[0], strict=False))
    for column, kinds in _REQUEST.items():
        if column not in request:
            raise MangledFrame("column", f"it lacks the column `{column}`")
        if not isinstance(request[column], kinds):
            raise MangledFrame("value", f"its column `{column}` has another kind of value")
    return request


def _refuse(value: Any) -> Any:
    return value
