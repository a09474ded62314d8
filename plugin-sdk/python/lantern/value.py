"""SQLite's five kinds of value, and their bytes in a frame."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct, error as StructError
from typing import Any

from .core import native
from .errors import BadInput, LanternError, MangledFrame

Value = None | int | float | str | bytes
"""SQLite's five kinds of value."""

_U32 = Struct("<I")
_I64 = Struct("<q")
_F64 = Struct("<d")
_INTEGER = Struct("<Bq").pack
_REAL = Struct("<Bd").pack
_SIZED = Struct("<BI").pack
_NULL = b"\x00"
_LEAST, _MOST = -(2**63), 2**63 - 1


def value_of(value: Any) -> Value:
    """A value as one of SQLite's five kinds.

    Raises:
        BadInput: for an integer of more than 64 bits, and a text that is not Unicode.
    """
    kind = value.__class__
    if kind is int:
        if _LEAST <= value <= _MOST:
            return value  # type: ignore[no-any-return]
        raise BadInput(f"{value} does not fit the integers that SQLite holds, 64 bits: write it as text")
    if kind is str:
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise BadInput(f"a text is not Unicode: {error}") from None
        return value  # type: ignore[no-any-return]
    if kind is float:
        return value if value == value else None
    if value is None or kind is bytes:
        return value  # type: ignore[no-any-return]
    if isinstance(value, int):
        return value_of(int(value))
    if isinstance(value, str):
        return value_of(str(value.value if hasattr(value, "value") else str.__str__(value)))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise LanternError(f"{value!r} is no value of SQLite: give it None, an int, a float, a str or bytes")


def encode(values: Iterable[Any]) -> bytes:
    """Values, one behind the other.

    Raises:
        BadInput: for what :func:`value_of` refuses.
    """
    parts: list[bytes] = []
    append = parts.append
    try:
        for value in values:
            kind = value.__class__
            if kind is int:
                append(_INTEGER(1, value))
            elif kind is str:
                data = value.encode()
                append(_SIZED(3, len(data)))
                append(data)
            elif value is None:
                append(_NULL)
            elif kind is bytes:
                append(_SIZED(4, len(value)))
                append(value)
            elif kind is float:
                append(_REAL(2, value) if value == value else _NULL)
            else:
                append(encode((value_of(value),)))
    except (StructError, UnicodeEncodeError):
        # It says what is wrong.
        value_of(value)
        raise
    return b"".join(parts)


if native is not None:
    native.use(value_of=value_of)
    encode = native.encode


def decode(arena: bytes, pos: int, end: int, count: int) -> list[Value]:
    """Values that lie one behind the other, no further than to the end.

    Raises:
        MangledFrame: when they do not.
    """
    if pos > end or end > len(arena) or count > end - pos:
        raise outside("the values")
    values: list[Value] = []
    for _ in range(count):
        if pos >= end:
            raise outside("a value")
        tag = arena[pos]
        pos += 1
        if tag == 0:
            values.append(None)
        elif tag in (1, 2):
            if pos + 8 > end:
                raise outside("a value")
            values.append((_I64 if tag == 1 else _F64).unpack_from(arena, pos)[0])
            pos += 8
        elif tag in (3, 4):
            if pos + 4 > end:
                raise outside("a value")
            (length,) = _U32.unpack_from(arena, pos)
            pos += 4
            if pos + length > end:
                raise outside("a value")
            part = arena[pos : pos + length]
            values.append(text_of(part, "a value") if tag == 3 else part)
            pos += length
        else:
            raise MangledFrame("tag", f"a value has the unknown tag {tag}")
    return values


def outside(what: str) -> MangledFrame:
    """The error of what does not lie in the frame."""
    return MangledFrame("bounds", f"{what} of an item points outside of the frame")


def text_of(part: bytes, what: str) -> str:
    """Bytes as text.

    Raises:
        MangledFrame: when they are not UTF-8.
    """
    try:
        return str(part, "utf-8")
    except UnicodeDecodeError:
        raise MangledFrame("utf8", f"{what} is not UTF-8") from None
