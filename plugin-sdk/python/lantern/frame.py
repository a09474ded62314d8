"""Frames, layout 1: the bytes in which events, writes and rows cross between host and plugin.

Their form is written down in frames.md beside the contract; the tests go through its vectors.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from operator import add, mul
from struct import Struct, error as StructError
from typing import NamedTuple

from .errors import MangledFrame
from .value import Value as Value, decode, encode, outside, text_of

NONE = 0xFFFFFFFF
EVENTS, OPS, ROWS = 1, 2, 3
_KINDS = {EVENTS: "events", OPS: "writes", ROWS: "rows"}
_HEADER = Struct("<4sHHIIII8x")
_PAIR = Struct("<II")
_EVENT = Struct("<qqIiIIIIIIII")
_NATIVE = Struct("=qqIiIIIIIIII")
_OP = Struct("<IIII")
_HEADER_ENTRY = Struct("<III")


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


class Events:
    """A frame of events: an event is its place in columns. They are checked as a whole, since that is quickest."""

    __slots__ = (
        "arena",
        "headers_at",
        "headers_count",
        "is_ascii",
        "key_lens",
        "keys",
        "kinds",
        "offsets",
        "partitions",
        "payload_lens",
        "payloads",
        "text",
        "texts",
        "timestamps",
        "topics",
    )

    def __init__(self, frame: bytes) -> None:
        layout = parse(frame, EVENTS, _EVENT.size)
        self.texts, self.arena = layout.texts, layout.arena
        index = layout.index
        if layout.stride != _EVENT.size:
            items = (index[at : at + _EVENT.size] for at in range(0, layout.count * layout.stride, layout.stride))
            index = memoryview(b"".join(items))
        if sys.byteorder == "big":
            index = memoryview(b"".join(_NATIVE.pack(*item) for item in _EVENT.iter_unpack(index)))
        longs, words = index.cast("q"), index.cast("I")
        # Few plugins ask for all of these, and a view costs nothing until it is read.
        self.offsets, self.timestamps = longs[0::7], longs[1::7]
        self.topics, self.partitions = words[4::14], index.cast("i")[5::14]
        self.headers_at, self.headers_count = words[11::14], words[12::14]
        self.kinds = words[6::14].tolist()
        self.keys, self.key_lens = words[7::14].tolist(), words[8::14].tolist()
        self.payloads, self.payload_lens = words[9::14].tolist(), words[10::14].tolist()
        texts = len(self.texts)
        if max(self.topics.tolist(), default=-1) >= texts or max(self.kinds, default=-1) >= texts:
            raise outside("the topic or type")
        end = len(self.arena)
        keys_end, keys_used = _extent(self.keys, self.key_lens)
        payloads_end, payloads_used = _extent(self.payloads, self.payload_lens)
        if keys_end > end:
            raise outside("the key")
        if payloads_end > end:
            raise outside("the payload")
        used = keys_used + payloads_used
        counts = self.headers_count.tolist()
        if any(counts):
            block = self._headers_block(counts)
            used += self._check_headers() if block is None else self._check_block(block)
            if block is not None:
                end -= len(block)
        if used > len(self.arena):
            raise MangledFrame("bounds", "its items use bytes of the arena twice")
        # What is before the headers as one text, where positions are the same in both; of payloads only where they are ASCII.
        self.text = str(self.arena[: max(end, payloads_end)], "latin-1")
        self.is_ascii = self.text.isascii()

    def _headers_block(self, counts: list[int]) -> bytes | None:
        """The headers of all events, where they are as the host writes them: one behind the other, at the arena's end."""
        end, size = len(self.arena), _HEADER_ENTRY.size
        start = end - sum(counts) * size
        if start < 0 or sys.byteorder == "big":
            return None
        found = self.headers_at.tolist()
        if counts.count(counts[0]) == len(counts):
            # As many of each event, as is usual.
            is_block = found == list(range(start, end, counts[0] * size))
        else:
            # Those of an event without headers may be anywhere.
            places = accumulate(map(mul, counts, repeat(size)), initial=start)
            is_block = all(
                at == place or (not count and at <= end)
                for at, place, count in zip(found, places, counts, strict=False)
            )
        return self.arena[start:] if is_block else None

    def _check_block(self, block: bytes) -> int:
        """How many bytes the headers of all events use, checked as columns."""
        words = memoryview(block).cast("I")
        names, positions, lengths = words[0::3].tolist(), words[1::3].tolist(), words[2::3].tolist()
        if max(names) >= len(self.texts):
            raise outside("a header's name")
        end, used = _extent(positions, lengths)
        if end > len(self.arena):
            raise outside("a header")
        return len(block) + used

    def _check_headers(self) -> int:
        end = len(self.arena)
        used = 0
        for at, count in zip(self.headers_at, self.headers_count, strict=True):
            used += count * _HEADER_ENTRY.size
            if at + count * _HEADER_ENTRY.size > end:
                raise outside("the headers")
            # Before they are looked at: they must not be gone through more often than there are bytes.
            if used > end:
                break
            for name, value, length in self._entries(at, count):
                if name >= len(self.texts):
                    raise outside("a header's name")
                if length != NONE:
                    used += length
                    if value + length > end:
                        raise outside("a header")
        return used

    def _entries(self, at: int, count: int) -> Iterator[tuple[int, int, int]]:
        return _HEADER_ENTRY.iter_unpack(self.arena[at : at + count * _HEADER_ENTRY.size])

    def part(self, pos: int, length: int) -> bytes | None:
        """A key, payload or header."""
        return None if length == NONE else self.arena[pos : pos + length]

    def header(self, index: int, name: str) -> bytes | None:
        """The value of an event's first header of this name; ``None`` where there is none, or it has none."""
        for number, value, length in self._entries(self.headers_at[index], self.headers_count[index]):
            if self.texts[number] == name:
                return self.part(value, length)
        return None

    def headers(self, index: int) -> Iterator[tuple[str, bytes | None]]:
        """The headers of an event, in their order."""
        for name, value, length in self._entries(self.headers_at[index], self.headers_count[index]):
            yield self.texts[name], self.part(value, length)


def _extent(positions: list[int], lengths: list[int]) -> tuple[int, int]:
    """Where the last of keys, payloads or headers ends, and how many bytes they use."""
    if max(lengths, default=0) == NONE:
        there = [(pos, length) for pos, length in zip(positions, lengths, strict=True) if length != NONE]
        positions, lengths = [pos for pos, _ in there], [length for _, length in there]
    return max(map(add, positions, lengths), default=0), sum(lengths)


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
        entries.append(b"".join(_HEADER_ENTRY.pack(intern(name), *optional(value)) for name, value in event.headers))
        items.append((event.offset, event.timestamp_ms, topic, event.partition, kind, *key, *payload))
    count = len(items)
    if any(entries):
        arena += bytes(-len(arena) % 4)
    for item, headers in zip(items, entries, strict=True):
        at = len(arena) if headers else 0
        arena += headers
        index += _EVENT.pack(*item, at, len(headers) // _HEADER_ENTRY.size, 0)
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
