"""What an aggregate decides and an upcaster answers, run natively."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import pytest

from lantern import Aggregate, BadInput, Context, Event, LanternError, Rejection, Upcaster, codec
from lantern.errors import Invalid
from lantern.frame import NewEvent, write_events
from lantern.testing import event, given, upcast


@dataclass
class Account:
    cents: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass
class Deposit:
    cents: int


@dataclass
class Deposited:
    cents: int


@dataclass
class Forgotten:
    pass


account = Aggregate("account", topic="accounts", state=Account)


@account.decide(Deposit)
def deposit(state: Account, command: Deposit, context: Context) -> Iterator[object]:
    if command.cents <= 0:
        raise Rejection("no-amount", "nothing to deposit", {"cents": command.cents})
    if command.cents == 7:
        yield Forgotten()
    yield Deposited(command.cents)


@account.evolve(Deposited)
def deposited(state: Account, event: Deposited) -> None:
    state.cents += event.cents


def test_an_integer_that_nobody_could_read_is_not_written() -> None:
    """What is written here is decided events, states and commands: they stay as they are."""
    assert codec.dump([2**63 - 1, -(2**63), True, 1e300]) == b"[9223372036854775807,-9223372036854775808,true,1e+300]"
    for wrong in (2**63, -(2**63) - 1, [{"n": 2**64}], Deposited(10**30)):
        with pytest.raises(Invalid, match="does not fit 64 bits"):
            codec.dump(wrong)


def test_a_command_leads_to_events_or_a_rejection() -> None:
    assert given(account, Deposited(5), Deposited(6)).state == Account(11)
    assert given(account).when(Deposit(5)) == [Deposited(5)]
    with pytest.raises(Rejection) as raised:
        given(account).when(Deposit(0))
    assert (raised.value.code, raised.value.detail) == ("no-amount", {"cents": 0})


def test_an_event_that_nothing_evolves_is_never_appended() -> None:
    with pytest.raises(LanternError, match="Forgotten, which nothing evolves"):
        given(account).when(Deposit(7))
    with pytest.raises(BadInput, match="there is no command Account"):
        given(account).when(Account())


@dataclass
class DepositedV1:
    account: str
    amount: int


def test_an_old_event_becomes_one_of_today() -> None:
    accounts = Upcaster("accounts-v2", topics=["accounts"])

    @accounts.on(DepositedV1)
    def first(event: Event[DepositedV1]) -> Deposited:
        return Deposited(event.data.amount * 100)

    @accounts.on("Gone")
    def gone(event: Event[object]) -> tuple[str, None]:
        return "Closed", None

    assert upcast(accounts, DepositedV1("ada", 5)) == ("Deposited", {"cents": 500})
    assert upcast(accounts, event(b"x", type="Gone")) == ("Closed", None)
    assert accounts.manifest.types == ["DepositedV1", "Gone"]


class Colour(Enum):
    RED = "red"


@dataclass(kw_only=True)
class Everything:
    text: str
    number: float
    flag: bool
    maybe: int | None
    colour: Colour
    kind: Literal["a", "b"]
    parts: list[Deposited]
    names: dict[str, int]
    renamed: int = field(metadata={"name": "orderId"})
    more: int = 3


JSON = (
    b'{"text":"Gr\xc3\xb6\xc3\x9fe","number":1,"flag":true,"maybe":null,"colour":"red","kind":"b","parts":[{"cents":1}],'
    b'"names":{"x":1},"orderId":9,"other":0}'
)


def test_json_becomes_a_dataclass_and_back() -> None:
    read = codec.reader(Everything)(codec.parse(JSON))
    assert read == Everything(
        text="Größe",
        number=1.0,
        flag=True,
        maybe=None,
        colour=Colour.RED,
        kind="b",
        parts=[Deposited(1)],
        names={"x": 1},
        renamed=9,
    )
    assert codec.reader(Everything)(codec.parse(codec.dump(read))) == read


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"flag":true', b'"flag":1', "`flag`: expected true or false, found 1"),
        (b'"maybe":null', b'"maybe":1.5', "`maybe`: expected an integer of 64 bits, found 1.5"),
        (b'"maybe":null', b'"maybe":9223372036854775808', "expected an integer of 64 bits"),
        (b'"red"', b'"blue"', '`colour`: expected one of "red", found "blue"'),
        (b'"cents":1', b'"cents":"x"', r"`parts`: \[0\]: `cents`: expected an integer"),
        (b'"orderId"', b'"renamed"', "the field `orderId` is missing"),
        (b'"number":1', b'"number":1e999', "`number`: expected a number"),
    ],
)
def test_json_of_another_form_is_refused_where_it_is_wrong(old: bytes, new: bytes, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        codec.reader(Everything)(codec.parse(JSON.replace(old, new)))


def test_what_an_evolver_raises_names_its_event() -> None:
    failing = Aggregate("failing", topic="accounts", state=Account)

    @failing.evolve(Deposited)
    def deposited(state: Account, event: Deposited) -> None:
        if event.cents == 0:
            raise ValueError("nothing")

    frame = write_events([NewEvent("Deposited", payload=b'{"cents":%d}' % cents) for cents in (1, 0)])
    with pytest.raises(ValueError, match="nothing") as raised:
        failing.evolve_frame(None, frame)
    assert raised.value.__lantern_index__ == 1  # type: ignore[attr-defined]
    with pytest.raises(BadInput) as refused:
        failing.evolve_frame(None, write_events([NewEvent("Deposited", payload=b'{"cents":1}'), NewEvent("Other")]))
    assert refused.value.index == 1
