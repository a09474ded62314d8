"""Frames, layout 1: the bytes in which events, writes and rows cross between host and plugin.

Their form is written down in frames.md beside the contract; the tests go through its vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from struct import Struct, error as StructError
from typing import NamedTuple

from .errors import MangledFrame

Value = None | int | float | str | bytes
"""SQLite's five kinds of value."""

NONE = 0xFFFFFFFF
EVENTS, OPS, ROWS = 1, 2, 3
_KINDS = {EVENTS: "events", OPS: "writes", ROWS: "rows"}
_HEADER = Struct("<4sHHIIII8x")
_PAIR = Struct("<II")
_U32 = Struct("<I")
_I64 = Struct("<q")
_F64 = Struct("<d")
_EVENT = Struct("<qqIiIIIIIIII")
_OP = Struct("<IIII")
_HEADER_ENTRY = Struct("<III")
_INTEGER = Struct("<Bq")
_REAL = Struct("<Bd")
_SIZED = Struct("<BI")
_NULL = b"\x00"


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of a frame."""

    count: int
    stride: int
    texts: list[str]
    index: memoryview
    arena: memoryview


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
    arena = view[arena_at:]
    texts = []
    left = arena_bytes
    for pos, length in _PAIR.iter_unpack(view[32:index_at]):
        left -= length
        if pos + length > arena_bytes or left < 0:
            raise MangledFrame("bounds", "a text of the dictionary points outside of the frame")
        texts.append(_text(arena[pos : pos + length], "a text of the dictionary"))
    return Layout(count, stride, texts, view[index_at:arena_at], arena)


def _text(part: memoryview, what: str) -> str:
    try:
        return str(part, "utf-8")
    except UnicodeDecodeError:
        raise MangledFrame("utf8", f"{what} is not UTF-8") from None


Fields = tuple[int, int, int, int, int, int, int, int, int, int, int, int]
"""An event's item: offset, timestamp, topic, partition, type, key (pos, len), payload, headers, reserved."""


class Events:
    """A frame of events."""

    __slots__ = ("arena", "count", "index", "stride", "texts")

    def __init__(self, frame: bytes) -> None:
        layout = parse(frame, EVENTS, _EVENT.size)
        self.count, self.stride, self.texts = layout.count, layout.stride, layout.texts
        self.index, self.arena = layout.index, layout.arena

    def items(self) -> Iterator[Fields]:
        """The items of the index, which are checked as they come."""
        if self.stride == _EVENT.size:
            items: Iterator[Fields] = _EVENT.iter_unpack(self.index)
        else:
            at = range(0, self.count * self.stride, self.stride)
            items = map(_EVENT.unpack_from, repeat(self.index), at)
        left = end = len(self.arena)
        texts = len(self.texts)
        for fields in items:
            _, _, topic, _, kind, key, key_len, payload, payload_len, headers, headers_count, _ = fields
            if topic >= texts or kind >= texts:
                raise _outside("the topic or type")
            if key_len != NONE:
                left -= key_len
                if key + key_len > end:
                    raise _outside("the key")
            if payload_len != NONE:
                left -= payload_len
                if payload + payload_len > end:
                    raise _outside("the payload")
            if headers_count:
                left -= headers_count * 12
                if headers + headers_count * 12 > end:
                    raise _outside("the headers")
                for _, value, length in _HEADER_ENTRY.iter_unpack(self.arena[headers : headers + headers_count * 12]):
                    if length != NONE:
                        left -= length
                        if value + length > end:
                            raise _outside("a header")
            if left < 0:
                raise MangledFrame("bounds", "its items use bytes of the arena twice")
            yield fields

    def part(self, pos: int, length: int) -> bytes | None:
        """A key, payload or header."""
        return None if length == NONE else self.arena[pos : pos + length].tobytes()

    def headers(self, fields: Fields) -> Iterator[tuple[str, bytes | None]]:
        """The headers of an event, in their order."""
        pos, count = fields[9], fields[10]
        for name, value, length in _HEADER_ENTRY.iter_unpack(self.arena[pos : pos + count * 12]):
            if name >= len(self.texts):
                raise _outside("a header's name")
            yield self.texts[name], self.part(value, length)


def _outside(what: str) -> MangledFrame:
    return MangledFrame("bounds", f"{what} of an item points outside of the frame")


class Rows:
    """A frame of rows: the names of its columns, and the values of each row."""

    __slots__ = ("columns", "rows")

    def __init__(self, frame: bytes) -> None:
        layout = parse(frame, ROWS, _PAIR.size)
        self.columns = layout.texts
        starts = _starts(layout, _PAIR, 0)
        self.rows = [_values(layout.arena, *span) for span in starts]


def _starts(layout: Layout, item: Struct, at: int) -> list[tuple[int, int, int]]:
    """Where the values of each item begin, where they must have ended, and how many there are."""
    found = [item.unpack_from(layout.index, n * layout.stride)[at : at + 2] for n in range(layout.count)]
    ends = [pos for pos, _ in found[1:]] + [len(layout.arena)]
    return [(pos, end, count) for (pos, count), end in zip(found, ends, strict=False)]


def _values(arena: memoryview, pos: int, end: int, count: int) -> list[Value]:
    if pos > end or end > len(arena) or count > end - pos:
        raise _outside("the values")
    values: list[Value] = []
    for _ in range(count):
        if pos >= end:
            raise _outside("a value")
        tag = arena[pos]
        pos += 1
        if tag == 0:
            values.append(None)
        elif tag in (1, 2):
            if pos + 8 > end:
                raise _outside("a value")
            values.append((_I64 if tag == 1 else _F64).unpack_from(arena, pos)[0])
            pos += 8
        elif tag in (3, 4):
            if pos + 4 > end:
                raise _outside("a value")
            (length,) = _U32.unpack_from(arena, pos)
            pos += 4
            if pos + length > end:
                raise _outside("a value")
            part = arena[pos : pos + length]
            values.append(_text(part, "a value") if tag == 3 else part.tobytes())
            pos += length
        else:
            raise MangledFrame("tag", f"a value has the unknown tag {tag}")
    return values


def append(arena: bytearray, value: Value) -> None:
    """Appends a value. It must be of the five kinds, and an integer of 64 bits."""
    if isinstance(value, str):
        data = value.encode()
        arena += _SIZED.pack(3, len(data))
        arena += data
    elif isinstance(value, int):
        arena += _INTEGER.pack(1, value)
    elif value is None:
        arena += _NULL
    elif isinstance(value, float):
        arena += _REAL.pack(2, value)
    else:
        arena += _SIZED.pack(4, len(value))
        arena += value


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
        pos = len(self.arena)
        for value in values:
            append(self.arena, value)
        self.index += _OP.pack(statement, NONE if event is None else event, pos, len(values))
        self.count += 1

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
        ops.append(Op(statement, None if event == NONE else event, _values(layout.arena, pos, end, count)))
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
        for value in row:
            append(arena, value)
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

    count = 0
    for event in events:
        topic, kind = intern(event.topic), intern(event.type)
        key, payload = optional(event.key), optional(event.payload)
        entries = bytearray()
        for name, value in event.headers:
            entries += _HEADER_ENTRY.pack(intern(name), *optional(value))
        headers, _ = _put(arena, bytes(entries))
        index += _EVENT.pack(
            event.offset, event.timestamp_ms, topic, event.partition, kind, *key, *payload, headers, len(event.headers), 0
        )
        count += 1
    return _frame(EVENTS, count, _EVENT.size, list(dictionary.values()), index, arena)


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
