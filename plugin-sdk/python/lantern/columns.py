"""Rows whose methods have the table's columns as parameters: those are bound quicker than a dictionary is gone through.

What is usual is done here, without a loop: an integer, to a column that was changed in the same way before. All else is
done by the methods of :class:`~lantern.rows.Row` itself.
"""

from __future__ import annotations

from keyword import iskeyword
from typing import Any, TypeVar

R = TypeVar("R")

# With more parameters, asking for each of them takes longer than the dictionary of those that were given.
_COLUMNS_MAX = 12
# Nothing that a plugin could give.
_NO = object()
# What becomes of a column, by what was gathered (`_old`) and what is given (`_new`); `_sum` is their sum.
_USUAL = {
    "set": "_values[{place}] = _new",
    "add": "_values[{place}] = _sum",
    "max": "if _new > _values[{place}]: _values[{place}] = _new",
    "min": "if _new < _values[{place}]: _values[{place}] = _new",
}


def row_class(row: type[R], columns: tuple[str, ...], kinds: dict[str, int]) -> type[R]:
    """The class of a table's rows. ``kinds`` has the number of each method's change.

    It is ``row`` itself where a column's name is no parameter's, or there are too many.
    """
    if len(columns) > _COLUMNS_MAX or not all(_is_parameter(name) for name in columns):
        return row
    scope: dict[str, Any] = {"_NO": _NO, "_Row": row}
    exec("\n".join(_method(method, kind, columns) for method, kind in kinds.items()), scope)
    return type(row.__name__, (row,), {"__slots__": (), **{method: scope[method] for method in kinds}})


def _is_parameter(name: str) -> bool:
    return name.isidentifier() and name.isascii() and not iskeyword(name) and not name.startswith("_")


def _method(method: str, kind: int, columns: tuple[str, ...]) -> str:
    lines = [f"def {method}(_row, /, *, {', '.join(f'{name}=_NO' for name in columns)}, **_others):"]
    lines.append("  _kinds, _values = _row._kinds, _row._values")
    for place, name in enumerate(columns):
        fits = f" and (_sum := _values[{place}] + _new).bit_length() <= 63" if method == "add" else ""
        lines += [
            f"  if {name} is not _NO:",
            f"    _new = {name}",
            f"    if _new.__class__ is int and _kinds[{place}] == {kind} and _new.bit_length() <= 63{fits}:",
            f"      {_USUAL[method].format(place=place)}",
            "    else:",
            f"      _row = _Row.{method}(_row, {name}=_new)",
            "      _kinds, _values = _row._kinds, _row._values",
        ]
    # What is no column of the table.
    lines += ["  if _others:", f"    return _Row.{method}(_row, **_others)", "  return _row"]
    return "\n".join(lines)
