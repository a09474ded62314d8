"""The projection of tests/conformance/README.md, which says what each event does."""

import os
import random
import secrets
import struct
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lantern import Command, Db, Envelope, Event, LanternError, Projection, Query, Table, log
from rows import Row, row

RECORDS = Table(
    "records", key=["topic", "partition", "position"], columns=["type", "timestamp_ms", "key", "payload", "trace"]
)
KEYS = Table("keys", key="key", columns=["records", "last"])
VALS = Table("vals", key="id", columns=["i", "r", "bits", "t", "b"])
COUNTERS = Table("counters", key="account", columns=["events", "sum", "largest", "smallest", "last"])
TOTALS = Table("totals", key="id", columns=["rows", "sum", "list", "own"])
CAUGHT = Table("caught", key="position", columns=["kind", "message"])
WORDS = Table("words", key="id", columns=["list", "still"])

SCHEMA = [
    "CREATE TABLE records (topic TEXT, partition INTEGER, position INTEGER, type TEXT NOT NULL, timestamp_ms INTEGER NOT NULL, key BLOB, payload BLOB, trace BLOB, PRIMARY KEY (topic, partition, position))",
    "CREATE TABLE keys (key BLOB PRIMARY KEY, records INTEGER NOT NULL, last INTEGER)",
    "CREATE TABLE vals (id PRIMARY KEY, i, r, bits, t, b)",
    "CREATE TABLE counters (account TEXT PRIMARY KEY, events INTEGER, sum INTEGER, largest INTEGER, smallest INTEGER, last INTEGER)",
    "CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER, note TEXT DEFAULT 'none')",
    "CREATE TABLE reads (partition INTEGER, position INTEGER, step INTEGER, found INTEGER NOT NULL, n INTEGER, note TEXT, PRIMARY KEY (partition, position, step))",
    "CREATE TABLE sums (id TEXT PRIMARY KEY, n INTEGER NOT NULL)",
    "CREATE TABLE totals (id TEXT PRIMARY KEY, rows INTEGER, sum INTEGER, list TEXT, own INTEGER)",
    "CREATE TABLE caught (position INTEGER PRIMARY KEY, kind TEXT, message TEXT)",
    "CREATE TABLE words (id TEXT PRIMARY KEY, list TEXT, still INTEGER)",
    "CREATE TABLE ones (n INTEGER NOT NULL CHECK (n = 1))",
]

conformance = Projection(
    "conformance-python",
    version="1.0.0",
    description="What every SDK must do the same",
    topics=["conformance"],
    headers=None,
    envelope=Envelope.header("type"),
    sends=["counter"],
    queries={"counter": Query("SELECT * FROM counters WHERE account = :account", "One counter")},
    schema=SCHEMA,
)


@dataclass
class Values:
    id: str
    i: int | None
    r: float | None
    bits: str | None
    t: str | None
    b: str | None


@dataclass
class Count:
    account: str
    n: int


@dataclass
class Sql:
    id: str
    n: int


@dataclass
class Caught:
    which: str


@dataclass
class Words:
    id: str
    text: str


@dataclass
class Send:
    id: str
    n: int
    due: int | None


@dataclass
class Add:
    n: int


@dataclass
class Cancel:
    id: str


@dataclass
class Log:
    text: str


@dataclass
class Fail:
    how: str


@conformance.on("Record")
def record(event: Event[Any], db: Db) -> None:
    key = event.key
    db.put(
        RECORDS,
        (event.topic, event.partition, event.offset),
        type=event.type,
        timestamp_ms=event.timestamp_ms,
        key=key,
        payload=event.payload,
        trace=event.header("trace"),
    )
    if key is not None:
        db.upsert(KEYS, key).add(records=1).set(last=event.offset)


@conformance.on(Values)
def values(event: Event[Values], db: Db) -> None:
    data = event.data
    bits = blob = None
    try:
        if data.bits is not None:
            (bits,) = struct.unpack(">d", int(data.bits, 16).to_bytes(8, "big"))
        if data.b is not None:
            blob = bytes.fromhex(data.b)
    except (ValueError, OverflowError) as error:
        raise event.bad_input(error) from None
    db.put(VALS, data.id, i=data.i, r=data.r, bits=bits, t=data.t, b=blob)


@conformance.on(Count)
def count(event: Event[Count], db: Db) -> None:
    n = event.data.n
    db.upsert(COUNTERS, event.data.account).add(events=1, sum=n).max(largest=n).min(smallest=n).set(last=n)


@conformance.on(Row)
def row_event(event: Event[Row], db: Db) -> None:
    row(event, db)


@conformance.on(Sql)
def sql(event: Event[Sql], db: Db) -> None:
    id, n = event.data.id, event.data.n
    db.upsert(COUNTERS, id).add(sum=n)
    db.execute("INSERT INTO sums (id, n) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET n = n + excluded.n", (id, n))
    rows = db.query("SELECT id, n FROM sums ORDER BY n DESC, id")
    own = db.query_value("SELECT sum FROM counters WHERE account = ?1", (id,))
    listed = ",".join(f"{row['id']}={row['n']}" for row in rows)
    db.put(TOTALS, "all", rows=len(rows), sum=sum(row["n"] for row in rows), list=listed, own=own)


@conformance.on(Caught)
def caught(event: Event[Caught], db: Db) -> None:
    try:
        match event.data.which:
            case "missing":
                db.query("SELECT n FROM missing")
            case "overflow":
                db.query("SELECT abs(?1)", (-(2**63),))
            case "pragma":
                db.query("PRAGMA user_version = 2")
            case other:
                raise event.bad_input(f"{other!r} is none of the statements")
    except LanternError as error:
        db.put(CAUGHT, event.offset, kind=error.fault.value, message=str(error))


@conformance.on(Words)
def words(event: Event[Words], db: Db) -> None:
    counts = Counter(event.data.text.split(" "))
    listed = ",".join(f"{word}={counts[word]}" for word in sorted(counts, key=str.encode))
    try:
        still = int(time.time()) == 0
    except LanternError:
        # There is no clock.
        still = True
    db.put(WORDS, event.data.id, list=listed, still=still)


@conformance.on(Send)
def send(event: Event[Send], db: Db) -> None:
    id = event.data.id
    db.send(event, f"send/{id}", Command("counter", id, Add(event.data.n), due_ms=event.data.due))


@conformance.on(Cancel)
def cancel(event: Event[Cancel], db: Db) -> None:
    db.cancel(f"send/{event.data.id}")


@conformance.on(Log)
def say(event: Event[Log], db: Db) -> None:
    log.warn(event.data.text)


def chance() -> str:
    sources: list[Callable[[], object]] = [
        random.random,
        lambda: random.Random().random(),
        lambda: random.SystemRandom().random(),
        lambda: os.urandom(8).hex(),
        lambda: secrets.token_hex(8),
        uuid.uuid4,
    ]
    said = []
    for source in sources:
        try:
            said.append(str(source()))
        except LanternError:
            said.append("refused")
    return " ".join(said)


@conformance.on(Fail)
def fail(event: Event[Fail], db: Db) -> None:
    db.upsert(COUNTERS, "failed").add(events=1)
    match event.data.how:
        case "bad-input":
            raise event.bad_input("refused by the domain")
        case "other":
            raise ValueError("an ordinary error")
        case "unknown":
            db.execute("INSERT INTO missing (n) VALUES (1)")
        case "late":
            db.execute("INSERT INTO ones (n) VALUES (?1)", (2,))
        case "query":
            db.execute("INSERT INTO ones (n) VALUES (?1)", (2,))
            db.query("SELECT count(*) FROM ones")
        case "crash":
            raise AssertionError("boom")
        case "recursion":
            recurse(0)
        case "random":
            raise event.bad_input(f"random: {chance()}")
        case other:
            raise event.bad_input(f"{other!r} is no way to fail")


def recurse(depth: int) -> int:
    return len(str(depth)) + recurse(depth + 1)


@conformance.on("*")
def passed_over(event: Event[Any], db: Db) -> None:
    pass
