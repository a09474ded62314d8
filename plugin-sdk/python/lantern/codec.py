"""JSON as dataclasses, and back.

A reader is made once for each class; the core reads JSON by it in one pass (native/reader.c), and what it cannot read is read here.
Fields are read by their names, or by ``field(metadata={"name": "orderId"})``. What a class does not have is passed over;
what it needs and is not there, or is of another type, is :class:`~lantern.errors.Invalid`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from json import scanner
from typing import Any, Literal, TypeVar, Union

from .core import native
from .errors import Invalid

T = TypeVar("T")
Reader = Callable[[Any], Any]

# The scanner alone: `loads` asks more of every text than it needs.
_scan: Callable[[str, int], tuple[Any, int]] = scanner.make_scanner(json.JSONDecoder())  # type: ignore
_decoder = json.JSONDecoder()
_readers: dict[Any, Reader] = {}


def parse(data: bytes | str) -> Any:
    """Reads JSON, strictly UTF-8.

    Raises:
        Invalid: with line and column.
    """
    try:
        text = data if isinstance(data, str) else str(data, "utf-8")
        try:
            value, end = _scan(text, 0)
            if end == len(text):
                return value
        except StopIteration:
            pass
        # Around the value there is space, or a mistake, which this one explains.
        return _decoder.decode(text)
    except UnicodeDecodeError as error:
        raise Invalid(f"it is not UTF-8: {error}") from None
    except json.JSONDecodeError as error:
        raise Invalid(f"it is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None


def dump(value: object) -> bytes:
    """Writes JSON: dataclasses as objects, without spaces.

    Raises:
        Invalid: when a value has no JSON.
    """
    try:
        text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError) as error:
        raise Invalid(f"{type(value).__name__} has no JSON: {error}") from None


def plain(value: Any) -> Any:
    """A value of dataclasses, enums and collections as what JSON has."""
    kind = value.__class__
    if kind is int and not _fits(value):
        raise TypeError(f"{value} does not fit 64 bits, and nobody could read it: write it as text")
    if kind in (str, int, bool, float) or value is None:
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {_name(field): plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (set, frozenset)):
        raise TypeError("a set has no order: write a sorted list")
    if isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"{kind.__name__} has no JSON")


def reader(expected: type[T]) -> Callable[[Any], T]:
    """What reads a value of JSON as this type."""
    known = _readers.get(expected)
    if known is None:
        known = _readers[expected] = _make(expected)
    return known


def _name(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("name", field.name))


def _said(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _scalar(kind: type, words: str) -> Reader:
    def read(value: Any) -> Any:
        if value.__class__ is kind:
            return value
        raise Invalid(f"expected {words}, found {_said(value)}")

    return read


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _integer(value: Any) -> int:
    if value.__class__ is int and _fits(value):
        return int(value)
    raise Invalid(f"expected an integer of 64 bits, found {_said(value)}")


def _float(value: Any) -> float:
    if value.__class__ is float and math.isfinite(value):
        return float(value)
    if value.__class__ is int:
        try:
            return float(value)
        except OverflowError:
            pass
    raise Invalid(f"expected a number, found {_said(value)}")


_SCALARS: dict[Any, Reader] = {
    str: _scalar(str, "a text"),
    int: _integer,
    bool: _scalar(bool, "true or false"),
    float: _float,
    type(None): _scalar(type(None), "null"),
    Any: lambda value: value,
    object: lambda value: value,
    dict: _scalar(dict, "an object"),
    list: _scalar(list, "a list"),
}


def _make(expected: Any) -> Reader:
    if expected in _SCALARS:
        return _SCALARS[expected]
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is Literal:
        return _one_of({value: value for value in arguments})
    if origin in (list, tuple) and (origin is list or arguments[1:] == (...,)):
        return _sequence(origin, reader(arguments[0]))
    if origin is dict and arguments[0] is str:
        return _mapping(reader(arguments[1]))
    if isinstance(expected, type) and issubclass(expected, Enum):
        return _one_of({each.value: each for each in expected})
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        return _dataclass(expected)
    raise TypeError(f"{expected!r} cannot be read from JSON: use dataclasses, str, int, float, bool, list, dict, enums")


def _union(arguments: tuple[Any, ...]) -> Reader:
    others = [each for each in arguments if each is not type(None)]
    readers = [reader(each) for each in others]
    optional = len(others) < len(arguments)

    def read(value: Any) -> Any:
        if value is None and optional:
            return None
        for each in readers[:-1]:
            try:
                return each(value)
            except Invalid:
                continue
        return readers[-1](value)

    return read


def _one_of(values: dict[Any, Any]) -> Reader:
    def read(value: Any) -> Any:
        try:
            return values[value]
        except (KeyError, TypeError):
            known = ", ".join(_said(each) for each in values)
            raise Invalid(f"expected one of {known}, found {_said(value)}") from None

    return read


def _sequence(origin: Any, each: Reader) -> Reader:
    def read(value: Any) -> Any:
        if value.__class__ is not list:
            raise Invalid(f"expected a list, found {_said(value)}")
        found = []
        for place, item in enumerate(value):
            try:
                found.append(each(item))
            except Invalid as error:
                raise Invalid(f"[{place}]: {error}") from None
        return origin(found)

    return read


def _mapping(each: Reader) -> Reader:
    def read(value: Any) -> Any:
        if value.__class__ is not dict:
            raise Invalid(f"expected an object, found {_said(value)}")
        return {key: _at(key, each, item) for key, item in value.items()}

    return read


def _at(name: str, each: Reader, value: Any) -> Any:
    try:
        return each(value)
    except Invalid as error:
        raise Invalid(f"`{name}`: {error}") from None


def _dataclass(cls: type) -> Reader:
    fields: list[tuple[dataclasses.Field[Any], str, Reader]] = []

    def read(value: Any) -> Any:
        if value.__class__ is not dict:
            raise Invalid(f"expected an object, found {_said(value)}")
        given = {}
        for field, name, each in fields:
            if name in value:
                given[field.name] = _at(name, each, value[name])
            elif _is_needed(field):
                raise Invalid(f"the field `{name}` is missing")
        return cls(**given)

    made: Any = read if native is None else native.Reader(read)
    # Recursive classes find themselves.
    _readers[cls] = made
    try:
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if field.init:
                fields.append((field, _name(field), reader(hints[field.name])))
        if native is not None and _is_made_of_its_fields(cls):
            learnt = tuple(_learnt(field, hints[field.name]) for field in dataclasses.fields(cls))
            names = tuple(field.name for field in dataclasses.fields(cls))
            made.learn(cls, learnt, None if _is_plain(cls) else names)
    except BaseException:
        del _readers[cls]
        raise
    return typing.cast(Reader, made)


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_made_of_its_fields(cls: Any) -> bool:
    """Whether its `__init__` is the one that dataclasses write, with all of its fields."""
    code = getattr(cls.__init__, "__code__", None)
    are_given = all(field.init for field in dataclasses.fields(cls))
    return code is not None and code.co_filename == "<string>" and are_given


def _is_plain(cls: Any) -> bool:
    """Whether that sets the fields, and none of the plugin's own code has to run: then the core sets them."""
    return (
        not hasattr(cls, "__post_init__")
        and cls.__new__ is object.__new__
        and (cls.__setattr__ is object.__setattr__ or cls.__dataclass_params__.frozen)
    )


# What the core may find in JSON; native/reader.c has the same numbers.
_TEXT, _INTEGER, _BOOLEAN, _REAL, _NOTHING, _LIST, _RECORD, _OTHER = (1 << bit for bit in range(8))
_KINDS = {str: _TEXT, int: _INTEGER, bool: _BOOLEAN, float: _REAL, type(None): _NOTHING}
_NEEDED, _DEFAULT, _FACTORY = range(3)


def _learnt(field: dataclasses.Field[Any], kind: Any) -> tuple[Any, ...]:
    """What the core knows of a field: its name, the attribute, what it is when it is not there, and what it may be."""
    absent: tuple[int, Any] = (_NEEDED, None)
    if field.default is not dataclasses.MISSING:
        absent = (_DEFAULT, field.default)
    elif field.default_factory is not dataclasses.MISSING:
        absent = (_FACTORY, field.default_factory)
    return (_name(field), sys.intern(field.name), *absent, _shape(kind))


def _shape(kind: Any) -> tuple[int, Any]:
    """What the core reads as this type: kinds of JSON, and of what they are."""
    if kind in _KINDS:
        return _KINDS[kind], None
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return _LIST, _shape(arguments[0])
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _RECORD, reader(kind)
    if origin in (Union, types.UnionType):
        shapes = [_shape(each) for each in arguments]
        kinds, inner = 0, [of for _, of in shapes if of is not None]
        for each, _ in shapes:
            kinds |= each
        # Else it matters which comes first.
        if len(inner) <= 1 and not kinds & _OTHER and kinds & (_INTEGER | _REAL) != _INTEGER | _REAL:
            return kinds, next(iter(inner), None)
    read = reader(kind)
    return _OTHER, lambda text: read(parse(text))
