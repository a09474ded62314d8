"""What a projection writes, run natively on a real SQLite."""

from dataclasses import dataclass
from typing import Any

import pytest

from lantern import BadInput, Command, Db, Event, LanternError, Projection, SqlError, Table
from lantern.testing import ReadModel, event

ROWS = Table("rows", key="id", columns=["n", "note"])
PAIRS = Table("pairs", key=["a", "b"], columns=["v"])


@dataclass
class Op:
    id: str
    ops: str


def model() -> ReadModel:
    projection = Projection(
        "rows",
        topics=["rows"],
        schema=[
            "CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER, note TEXT DEFAULT 'none')",
            "CREATE TABLE pairs (a, b, v, PRIMARY KEY (a, b))",
        ],
        sends=["account"],
    )

    @projection.on(Op)
    def op(event: Event[Op], db: Db) -> None:
        key = event.data.id
        for each in event.data.ops.split(";"):
            word, _, argument = each.partition(" ")
            n = int(argument) if argument.lstrip("-").isdigit() else 0
            match word:
                case "put":
                    db.put(ROWS, key, n=n, note="put")
                case "add":
                    db.upsert(ROWS, key).add(n=n)
                case "max":
                    db.upsert(ROWS, key).max(n=n)
                case "min":
                    db.upsert(ROWS, key).min(n=n)
                case "set":
                    db.upsert(ROWS, key).set(n=n)
                case "null":
                    db.upsert(ROWS, key).set(n=None)
                case "touch":
                    db.upsert(ROWS, key)
                case "uset":
                    db.update(ROWS, key).set(n=n)
                case "uadd":
                    db.update(ROWS, key).add(n=n)
                case "delete":
                    db.delete(ROWS, key)
                case "get":
                    db.get(ROWS, key)
                case "held":
                    row = db.upsert(ROWS, key).add(n=n)
                    db.query("SELECT 1")
                    row.add(n=n)
                case "fail":
                    raise event.bad_input("refused")
                case "other":
                    raise ValueError("ordinary")

    @projection.on("pair")
    def pair(event: Event[Any], db: Db) -> None:
        a, b, v = event.data
        db.upsert(PAIRS, (a, b)).set(v=v)

    @projection.on("send")
    def send(event: Event[Any], db: Db) -> None:
        db.send(event, "k/1", Command("account", "ada", "Deposit", {"cents": 5}, due_ms=7))
        db.send(event, "k/2", Command("account", "ada", "Deposit", {"cents": 6}))
        db.cancel("k/2")

    return ReadModel(projection)


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ("add 1;add 2", (3, "none")),
        ("put 5;add 2;max 9;min 8", (8, "put")),
        ("set 5;max 3;min 4", (4, "none")),
        ("add 5;max 3", (5, "none")),
        ("max 3;add 5", (8, "none")),
        ("null;add 4", (4, "none")),
        ("touch", (None, "none")),
        ("uset 4", None),
        ("uset 4;add 3", (3, "none")),
        ("touch;uadd 3;uadd 3", (6, "none")),
        ("put 1;delete", None),
        ("put 1;delete;uset 4", None),
        ("put 1;delete;add 4", (4, "none")),
        ("get;uset 4", None),
        ("get;add 4;get;add 5", (9, "none")),
        ("put 1;get;delete;get;set 3", (3, "none")),
        ("held 2;held 3", (10, "none")),
        ("set 9223372036854775807;add -1", (9223372036854775806, "none")),
        ("delete;put 2", (2, "put")),
    ],
)
def test_changes_of_a_row_are_as_if_written_one_by_one(ops: str, expected: tuple[int | None, str] | None) -> None:
    """What is gathered over a batch must be what the operations would have given in batches of their own."""
    rows = [] if expected is None else [{"id": "x", "n": expected[0], "note": expected[1]}]
    assert model().apply(Op("x", ops)).rows("rows") == rows
    apart = model()
    for each in ops.split(";"):
        apart.apply(Op("x", each))
    assert apart.rows("rows") == rows


@pytest.mark.parametrize(
    "columns",
    [["n", "note"], ["class", "n"], ["with space", 'a "quoted" one'], ["_kinds", "_n"], [f"c{n}" for n in range(13)]],
    ids=" ".join,
)
def test_columns_of_any_name_and_number_are_written_alike(columns: list[str]) -> None:
    """Names that are no words of Python, and more of them than a call usually has."""
    wide = Table("wide", key="id", columns=columns)
    listed = ", ".join('"' + column.replace('"', '""') + '" INTEGER' for column in columns)
    projection = Projection("wide", topics=["wide"], schema=[f"CREATE TABLE wide (id TEXT PRIMARY KEY, {listed})"])

    @projection.on("change")
    def change(event: Event[Any], db: Db) -> None:
        word, n = event.data
        getattr(db.upsert(wide, "x"), word)(**{column: n + place for place, column in enumerate(columns)})

    def values(*changes: list[Any]) -> list[Any]:
        together = ReadModel(projection).apply(*(event(change, type="change") for change in changes)).rows("wide")
        apart = ReadModel(projection)
        for change in changes:
            apart.apply(event(change, type="change"))
        assert apart.rows("wide") == together
        return list(together[0].values())[1:]

    width = len(columns)
    assert values(["add", 1], ["add", 2], ["add", 3]) == [6 + 3 * place for place in range(width)]
    assert values(["max", 1], ["max", 9], ["max", 3]) == [9 + place for place in range(width)]
    assert values(["min", 4], ["min", 9], ["min", 2]) == [2 + place for place in range(width)]
    assert values(["set", 4], ["set", 9], ["max", 2]) == [9 + place for place in range(width)]
    with pytest.raises(LanternError, match="declares no column `other`"):
        ReadModel(projection).apply(event(["add", 1], type="change"))._db.upsert(wide, "x").add(other=1)


def test_a_failure_takes_the_batch_back_and_the_next_one_is_applied() -> None:
    rows = model()
    with pytest.raises(BadInput, match=r"rows/0@1 \(Op\): refused") as raised:
        rows.apply(Op("x", "add 1"), Op("x", "add 1;fail"))
    assert raised.value.index == 1
    with pytest.raises(ValueError, match="ordinary"):
        rows.apply(Op("x", "other"))
    assert rows.rows("rows") == []
    assert rows.apply(Op("x", "add 1")).rows("rows") == [{"id": "x", "n": 1, "note": "none"}]


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"{", "it is not JSON"),
        (b'{"id": "\xff", "ops": ""}', "not UTF-8"),
        (b'{"id": "x"}', "the field `ops` is missing"),
        (b'{"id": 7, "ops": ""}', "`id`: expected a text, found 7"),
        (b"[]", "expected an object"),
        (None, "it is a tombstone"),
        (b'{"id": "x", "ops": ""} x', "Extra data"),
    ],
)
def test_an_event_that_is_not_understood_names_itself(payload: bytes | None, words: str) -> None:
    with pytest.raises(BadInput, match=words) as raised:
        model().apply(event(payload, type="Op", topic="rows", offset=42))
    assert str(raised.value).startswith("rows/0@42 (Op): ")


def test_keys_have_parts_and_their_kinds() -> None:
    rows = model().apply(event(["a", 1, 2], type="pair"), event(["a", True, 3], type="pair"))
    assert rows.rows("pairs") == [{"a": "a", "b": 1, "v": 3}]
    for bad in (["a", 1.5, 2], ["a", None, 2]):
        with pytest.raises(LanternError, match="keys are texts, integers and blobs"):
            rows.apply(event(bad, type="pair"))


def test_an_integer_beyond_64_bits_is_refused() -> None:
    with pytest.raises(BadInput, match="64 bits"):
        model().apply(event(b'["a", 1, 9223372036854775808]', type="pair"))


def test_what_sqlite_refuses_names_the_event() -> None:
    projection = Projection("ones", topics=["ones"], schema=["CREATE TABLE ones (n CHECK (n = 1))"])

    @projection.on("one")
    def one(event: Event[Any], db: Db) -> None:
        db.execute("INSERT INTO ones VALUES (?)", [event.data])

    with pytest.raises(SqlError, match="CHECK") as raised:
        ReadModel(projection).apply(event(1, type="one"), event(2, type="one"))
    assert raised.value.index == 1


def test_commands_are_sent_and_taken_back() -> None:
    (sent,) = model().apply(event({}, type="send", headers={"ce_id": "e-1"})).sent
    assert (sent.key, sent.command, sent.data, sent.due_ms) == ("k/1", "Deposit", {"cents": 5}, 7)
    assert (sent.correlation, sent.causation) == ("e-1", "e-1")
