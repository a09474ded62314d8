"""Rows whose methods have the table's columns as parameters: those are bound quicker than a dictionary is gone through.

What is usual is done here, without a loop: an integer, to a column that was changed in the same way before. All else is
done by the methods of :class:`~lantern.rows.Row` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from keyword import iskeyword
from typing import Any

UNCHANGED, SET, ADD, MAX, MIN = range(5)
"""How a column is changed."""

# With more parameters, asking for each of them takes longer than the dictionary of those that were given.
_COLUMNS_MAX = 12
# Nothing that a plugin could give.
_NO = object()
# By method: the change, and what becomes of a column by what is given (`_new`) and its sum with what was gathered (`_sum`).
_USUAL = {
    "set": (SET, "_values[{place}] = _new"),
    "add": (ADD, "_values[{place}] = _sum"),
    "max": (MAX, "if _new > _values[{place}]: _values[{place}] = _new"),
    "min": (MIN, "if _new < _values[{place}]: _values[{place}] = _new"),
}


def methods(columns: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    """The methods of rows with these columns, for a class whose ``_general`` is the class that has them for any columns.

    There are none where a column's name is no parameter's, or where there are too many.
    """
    are_parameters = all(map(_is_parameter, columns)) and len(set(columns)) == len(columns)
    if not are_parameters or len(columns) > _COLUMNS_MAX:
        return {}
    scope: dict[str, Any] = {"_NO": _NO}
    exec("\n".join(_method(method, columns) for method in _USUAL), scope)
    return {method: scope[method] for method in _USUAL}


def _is_parameter(name: str) -> bool:
    return name.isidentifier() and name.isascii() and not iskeyword(name) and not name.startswith("_")


def _method(method: str, columns: tuple[str, ...]) -> str:
    change, becomes = _USUAL[method]
    parameters = "".join(f", {name}=_NO" for name in columns)
    # Parameters that may only be given by name would be looked up in a dictionary where they are not given. What is given
    # without one goes to the first, and is refused.
    lines = [f"def {method}(_row, _unnamed=_NO, /{parameters}, **_others):"]
    lines.append("  _kinds, _values = _row._kinds, _row._values")
    for place, name in enumerate(columns):
        fits = f" and (_sum := _values[{place}] + _new).bit_length() <= 63" if method == "add" else ""
        lines += [
            f"  if {name} is not _NO:",
            f"    _new = {name}",
            f"    if _new.__class__ is int and _kinds[{place}] == {change} and _new.bit_length() <= 63{fits}:",
            f"      {becomes.format(place=place)}",
            "    else:",
            f"      _row = _row._general.{method}(_row, {name}=_new)",
            "      _kinds, _values = _row._kinds, _row._values",
        ]
    # What is no column of the table.
    lines += ["  if _others:", f"    return _row._general.{method}(_row, **_others)"]
    lines += ["  if _unnamed is not _NO:", "    raise TypeError('columns are given by their names')", "  return _row"]
    return "\n".join(lines)
