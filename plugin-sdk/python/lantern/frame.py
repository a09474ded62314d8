"""Frames, layout 1: the bytes in which events, writes and rows cross between host and plugin.

Their form is written down in frames.md beside the contract; the tests go through its vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from struct import Struct, error as StructError
from typing import NamedTuple

from .errors import MangledFrame
from .value import Value as Value, decode, encode, text_of

NONE = 0xFFFFFFFF
EVENTS, OPS, ROWS = 1, 2, 3
_KINDS = {EVENTS: "events", OPS: "writes", ROWS: "rows"}
_HEADER = Struct("<4sHHIIII8x")
_PAIR = Struct("<II")
EVENT = Struct("<qqIiIIIIIIII")
"""An item of a frame of events."""
HEADER_ENTRY = Struct("<III")
"""A header of an event, in the arena."""
_OP = Struct("<IIII")


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of a frame."""

    count: int
    stride: int
    texts: list[str]
    index: memoryview
    arena: bytes


def parse(frame: bytes, kind: int, stride_least: int) -> Layout:
    """Splits a frame into its parts, checked as a whole.

    Raises:
        MangledFrame: when it is none, or of another kind.
    """
    if len(frame) < 32:
        raise MangledFrame("short", f"{len(frame)} bytes, its header alone has 32")
    magic, version, found, count, stride, dictionary_count, arena_bytes = _HEADER.unpack_from(frame)
    if magic != b"LTRN":
        raise MangledFrame("magic", f"starts with {magic!r}, not b'LTRN'")
    if not 1 <= version <= 1:
        raise MangledFrame("version", f"layout {version}, this side reads 1: build the plugin with the SDK of this Lantern")
    if found != kind:
        raise MangledFrame("kind", f"expected {_KINDS[kind]}, found a frame of kind {found}")
    if stride < stride_least:
        raise MangledFrame("stride", f"{stride} bytes per item, at least {stride_least} expected")
    index_at = 32 + dictionary_count * 8
    arena_at = index_at + count * stride
    if arena_at + arena_bytes != len(frame):
        raise MangledFrame("length", f"its header states {arena_at + arena_bytes} bytes, it has {len(frame)}")
    view = memoryview(frame)
    arena = frame[arena_at:]
    texts = []
    left = arena_bytes
    for pos, length in _PAIR.iter_unpack(view[32:index_at]):
        left -= length
        if pos + length > arena_bytes or left < 0:
            raise MangledFrame("bounds", "a text of the dictionary points outside of the frame")
        texts.append(text_of(arena[pos : pos + length], "a text of the dictionary"))
    return Layout(count, stride, texts, view[index_at:arena_at], arena)


class Rows:
    """A frame of rows: the names of its columns, and the values of each row."""

    __slots__ = ("columns", "rows")

    def __init__(self, frame: bytes) -> None:
        layout = parse(frame, ROWS, _PAIR.size)
        self.columns = layout.texts
        starts = _starts(layout, _PAIR, 0)
        self.rows = [decode(layout.arena, *span) for span in starts]


def _starts(layout: Layout, item: Struct, at: int) -> list[tuple[int, int, int]]:
    """Where the values of each item begin, where they must have ended, and how many there are."""
    found = [item.unpack_from(layout.index, n * layout.stride)[at : at + 2] for n in range(layout.count)]
    ends = [pos for pos, _ in found[1:]] + [len(layout.arena)]
    return [(pos, end, count) for (pos, count), end in zip(found, ends, strict=False)]


class Op(NamedTuple):
    """One write."""

    statement: int
    event: int | None
    values: list[Value]


class OpsWriter:
    """A frame of writes that grows."""

    __slots__ = ("arena", "count", "index")

    def __init__(self) -> None:
        self.count = 0
        self.index = bytearray()
        self.arena = bytearray()

    def push(self, statement: int, event: int | None, values: Sequence[Value]) -> None:
        """Adds one write."""
        encoded = encode(values)
        self.index += _OP.pack(statement, NONE if event is None else event, len(self.arena), len(values))
        self.arena += encoded
        self.count += 1

    def extend(self, statement: int, values: int, writes: Sequence[tuple[int | None, bytes]]) -> None:
        """Adds writes by one statement: of each its event and its values, encoded before."""
        events = [NONE if event is None else event for event, _ in writes]
        encoded = [data for _, data in writes]
        positions = accumulate(map(len, encoded), initial=len(self.arena))
        self.index += b"".join(map(_OP.pack, repeat(statement), events, positions, repeat(values)))
        self.arena += b"".join(encoded)
        self.count += len(writes)

    def take(self) -> bytes:
        """The frame of all writes, and starts anew."""
        frame = _frame(OPS, self.count, _OP.size, (), self.index, self.arena)
        self.__init__()  # type: ignore[misc]
        return frame


def read_ops(frame: bytes) -> list[Op]:
    """Reads a frame of writes: for tests."""
    layout = parse(frame, OPS, _OP.size)
    ops = []
    for n, (pos, end, count) in enumerate(_starts(layout, _OP, 2)):
        statement, event, _, _ = _OP.unpack_from(layout.index, n * layout.stride)
        ops.append(Op(statement, None if event == NONE else event, decode(layout.arena, pos, end, count)))
    return ops


def write_rows(columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """A frame of rows. Of two columns of one name the second is called ``name:2``."""
    names: list[str] = []
    for column in columns:
        name, nth = column, 2
        while name in names:
            name, nth = f"{column}:{nth}", nth + 1
        names.append(name)
    arena = bytearray()
    dictionary = [_put(arena, name.encode()) for name in names]
    index = bytearray()
    count = 0
    for row in rows:
        index += _PAIR.pack(len(arena), len(row))
        arena += encode(row)
        count += 1
    return _frame(ROWS, count, _PAIR.size, dictionary, index, arena)


class NewEvent(NamedTuple):
    """An event that is written into a frame: by tests."""

    type: str
    topic: str = "topic"
    partition: int = 0
    offset: int = 0
    timestamp_ms: int = -1
    key: bytes | None = None
    payload: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


def write_events(events: Iterable[NewEvent]) -> bytes:
    """A frame of events, as the host makes it."""
    arena = bytearray()
    index = bytearray()
    dictionary: dict[str, tuple[int, int]] = {}
    ids: dict[str, int] = {}

    def intern(text: str) -> int:
        if text not in ids:
            dictionary[text] = _put(arena, text.encode())
            ids[text] = len(ids)
        return ids[text]

    def optional(data: bytes | None) -> tuple[int, int]:
        return (0, NONE) if data is None else _put(arena, data)

    items = []
    # Of each event its headers, which stand behind everything else.
    entries: list[bytes] = []
    for event in events:
        topic, kind = intern(event.topic), intern(event.type)
        key, payload = optional(event.key), optional(event.payload)
        entries.append(b"".join(HEADER_ENTRY.pack(intern(name), *optional(value)) for name, value in event.headers))
        items.append((event.offset, event.timestamp_ms, topic, event.partition, kind, *key, *payload))
    count = len(items)
    if any(entries):
        arena += bytes(-len(arena) % 4)
    for item, headers in zip(items, entries, strict=True):
        at = len(arena) if headers else 0
        arena += headers
        index += EVENT.pack(*item, at, len(headers) // HEADER_ENTRY.size, 0)
    return _frame(EVENTS, count, EVENT.size, list(dictionary.values()), index, arena)


def _put(arena: bytearray, data: bytes) -> tuple[int, int]:
    pos = len(arena)
    arena += data
    return pos, len(data)


def _frame(
    kind: int, count: int, stride: int, dictionary: Sequence[tuple[int, int]], index: bytearray, arena: bytearray
) -> bytes:
    try:
        head = _HEADER.pack(b"LTRN", 1, kind, count, stride, len(dictionary), len(arena))
    except StructError:
        raise MangledFrame("length", f"{len(arena)} bytes are more than a frame holds: write less per event") from None
    return b"".join((head, *(_PAIR.pack(*entry) for entry in dictionary), index, arena))
