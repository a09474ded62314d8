"""The aggregate of tests/conformance/README.md, which says what each command and event does."""

from dataclasses import dataclass

from lantern import Aggregate, Context, Rejection


@dataclass
class Counter:
    count: int = 0
    sum: int = 0
    note: str | None = None


@dataclass
class Add:
    n: int


@dataclass
class AddMany:
    n: list[int]


@dataclass
class Note:
    text: str


@dataclass
class Crash:
    pass


@dataclass
class Added:
    n: int


@dataclass
class Noted:
    text: str
    aggregate: str
    id: str
    version: int
    time_ms: int
    correlation: str | None


@dataclass
class Crashed:
    pass


counter = Aggregate("counter-python", topic="counter-python", state=Counter)


@counter.decide(Add)
def add(state: Counter, command: Add, context: Context) -> list[Added]:
    n = command.n
    if n < 0:
        raise Rejection("negative", f"n is {n}", {"n": n})
    if state.sum + n > 2**63 - 1:
        raise Rejection("overflow", f"the sum is {state.sum}")
    return [Added(n)] if n else []


@counter.decide(AddMany)
def add_many(state: Counter, command: AddMany, context: Context) -> list[Added]:
    return [Added(n) for n in command.n]


@counter.decide(Note)
def note(state: Counter, command: Note, context: Context) -> list[Noted]:
    return [
        Noted(command.text, context.aggregate, context.id, context.version, context.time_ms, context.correlation)
    ]


@counter.decide(Crash)
def crash(state: Counter, command: Crash, context: Context) -> None:
    raise AssertionError("boom")


@counter.evolve(Added)
def added(state: Counter, event: Added) -> None:
    state.count += 1
    state.sum += event.n


@counter.evolve(Noted)
def noted(state: Counter, event: Noted) -> None:
    state.count += 1
    state.note = event.text


@counter.evolve(Crashed)
def crashed(state: Counter, event: Crashed) -> None:
    raise AssertionError("boom")
