"""The native core does what the Python beside it does. Without the core there is nothing to compare; the repository's tests compile it."""

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from enum import Enum
from typing import Any, Literal

import pytest

from lantern import Db, Event, Projection, Table, codec, frame
from lantern.batch import Events
from lantern.core import native
from lantern.errors import BadInput, Invalid
from lantern.testing import ReadModel, event

pytestmark = pytest.mark.skipif(native is None, reason="the core is not compiled here")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Line:
    sku: str
    pieces: int
    price: float | None = None


@dataclass(frozen=True)
class Order:
    id: str
    lines: list[Line]
    total: int | None
    paid: bool = False
    note: str | int = "none"
    colour: Colour = Colour.RED
    kind: Literal["new", "old"] = "new"
    tags: list[str] = field(default_factory=list)
    parent: "Order | None" = None
    either: int | float | None = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Plain:
    id: str
    n: int


@dataclass
class Checked:
    id: str
    n: int

    def __post_init__(self) -> None:
        if self.n < 0:
            raise Invalid("n is less than 0")


@dataclass
class Made:
    id: str
    n: int

    def __init__(self, id: str, n: int) -> None:
        self.id, self.n = id.upper(), n


@dataclass
class Initial:
    id: str
    n: InitVar[int] = 0

    def __post_init__(self, n: int) -> None:
        self.id += str(n)


CLASSES: list[type] = [Order, Line, Plain, Checked, Made, Initial]


def texts(rng: random.Random) -> Iterator[str]:
    """JSON that is nearly that of one of the classes."""
    names = "id lines total paid note colour kind tags parent either more sku pieces price n x".split()
    scalars = [
        "0", "-0", "7", "-7", "1.5", "-0.0", "1e3", "1E-2", "1e999", "01", "1.", "-", "9223372036854775807", "-9223372036854775808",
        "9223372036854775808", "12345678901234567890.5", "9007199254740993", "true", "false", "null", "nul", "NaN", "Infinity", '""', '"red"',
        '"new"', '"a\\nb"', '"\\u00e9\\ud83d\\ude00"', '"\\ud800"', '"\\ud800\\u0041"', '"\\x"', '"\\u12"', '"\\u00zz"', '"tab\there"', '"é😀"', '"', '"\\"',
    ]  # fmt: skip

    def value(depth: int) -> str:
        roll = rng.random()
        if depth > 3 or roll < 0.6:
            return rng.choice(scalars)
        space = rng.choice(["", "", " ", "\n\t"])
        if roll < 0.8:
            return "[" + f"{space},".join(value(depth + 1) for _ in range(rng.randrange(3))) + space + "]"
        return record(depth + 1)

    def record(depth: int) -> str:
        pairs = [
            f'{rng.choice(["", " "])}"{name}"{rng.choice(["", " "])}:{value(depth)}'
            for name in rng.choices(names, k=rng.randrange(6))
        ]
        return "{" + rng.choice(["", " "]) + ",".join(pairs) + rng.choice(["}", "}", "}", "} ", ",}", ""])

    while True:
        yield rng.choice([record(0), value(0), whole(rng)])


def whole(rng: random.Random) -> str:
    """JSON of one of the classes, with one byte changed at times."""
    order = {
        "id": "o-1",
        "lines": [{"sku": "tea", "pieces": 2, "price": 1.5}, {"sku": "é", "pieces": -1}],
        "total": None,
        "either": 3,
    }
    text = json.dumps(
        rng.choice([order, {"id": "x", "n": -5}, {"sku": "tea", "pieces": 2, "unknown": [{"a": [1, "b"]}]}]),
        ensure_ascii=rng.random() < 0.5,
    )
    if rng.random() < 0.5:
        at = rng.randrange(len(text))
        text = (
            text[:at]
            + rng.choice(['"', "{", "}", "[", "]", ",", ":", "0", "-", "e", ".", "\\", " ", "\x00"])
            + text[at + rng.randrange(2) :]
        )
    return text


def outcome(read: Any) -> str:
    try:
        return repr(read())
    except (Invalid, BadInput) as error:
        return str(error)


def one(payload: bytes, cls: type) -> Event[Any]:
    return Event(Events(frame.write_events([frame.NewEvent("T", payload=payload)])), 0, codec.reader(cls))


def test_json_is_read_as_python_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass over the bytes must give the same object or the same words, whatever the bytes are."""
    left = 0
    decode = Event._decode

    def counted(self: Event[Any], read: Any) -> Any:
        nonlocal left
        left += 1
        return decode(self, read)

    monkeypatch.setattr(Event, "_decode", counted)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    tried = 30_000
    for text, _ in zip(texts(rng), range(tried), strict=False):
        payload = text.encode()
        if rng.random() < 0.02:
            payload = payload[:-3] + b"\xff" + payload[-3:]
        for cls in CLASSES:
            in_core = one(payload, cls)
            expected = outcome(lambda: codec.reader(cls)(codec.parse(payload)))
            found = outcome(lambda: in_core.data)
            assert found.removeprefix("topic/0@0 (T): ") == expected, (cls, payload)
    # Some were read by the core, and some were not.
    assert tried < left < tried * len(CLASSES) - 1_000


def test_what_is_made_is_of_the_class_and_its_own() -> None:
    order = one(
        b'{"id": "o", "lines": [{"sku": "a", "pieces": 1}], "total": 5, "parent": {"id": "p", "lines": [], "total": null}}',
        Order,
    ).data
    assert order == Order("o", [Line("a", 1)], 5, parent=Order("p", [], None))
    assert order.tags is not order.parent.tags
    assert one(b'{"id": "x", "n": 1}', Made).data.id == "X"
    assert one(b'{"id": "x", "n": 1}', Plain).data == Plain("x", 1)
    assert one(b'{"id": "x", "n": 1}', Checked).data == Checked("x", 1)
    assert one(b'{"id": "x", "n": 1}', Initial).data.id == "x0"


def test_no_reference_is_lost_or_kept() -> None:
    """What is counted wrongly is freed while it is used, or never."""
    kept, cents = "ke" + "pt" * 40, 10**12
    table = Table("t", key="id", columns=["n", "note"])
    projection = Projection("t", topics=["t"], schema=["CREATE TABLE t (id PRIMARY KEY, n, note)"])

    @projection.on(Plain)
    def plain(event: Event[Plain], db: Db) -> None:
        row = db.upsert(table, event.data.id).add(n=cents).set(note=kept).max(n=cents)
        row.set(note=None, n=cents)
        db.put(table, "whole", n=cents, note=kept)
        assert event.header("none") is None and event.headers == [("h", b"v")] and event.type == "Plain"
        if event.index % 7 == 6:
            raise event.bad_input("refused")

    model = ReadModel(projection)
    events = [event(Plain(f"key-{n % 3}", n), headers={"h": "v"}) for n in range(6)]

    def counts() -> list[int]:
        for _ in range(50):
            model.apply(*events)
            with pytest.raises(BadInput):
                model.apply(*events, events[0])
        return [sys.getrefcount(each) for each in (kept, cents, Plain, table)]

    assert counts() == counts()
