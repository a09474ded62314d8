"""Why something could not be done, and whose fault it is."""

from __future__ import annotations

from enum import Enum


class Fault(Enum):
    """Whose fault an error is."""

    BAD_INPUT = "bad-input"
    """The event cannot be understood."""
    SQL = "sql"
    """SQLite refused a statement."""
    CONFLICT = "conflict"
    """A write conflicts with what is stored."""
    UNSUPPORTED = "unsupported"
    """What was asked for is not offered."""
    OTHER = "other"
    """Anything else."""


class LanternError(Exception):
    """What the SDK raises. Any other exception fails an event too."""

    fault: Fault = Fault.OTHER

    def __init__(self, message: str, *, fault: Fault | None = None, index: int | None = None) -> None:
        super().__init__(message)
        if fault is not None:
            self.fault = fault
        self.index = index
        """The event at fault, counted from 0 within its batch, where that is not the one being applied."""


class BadInput(LanternError):
    """The event cannot be understood: it is at fault, not the plugin."""

    fault = Fault.BAD_INPUT


class SqlError(LanternError):
    """SQLite refused a statement, or what it would have done conflicts with what is stored."""

    fault = Fault.SQL


class MangledFrame(LanternError):
    """Bytes that are no frame. ``code`` is the name of the error in frames.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"mangled frame: {message}")
        self.code = code


class Invalid(ValueError):
    """JSON that is not of the expected form, with the path to what is wrong."""


def at_event(error: Exception, index: int | None) -> None:
    """Notes at which event of a batch something was raised, where that is not known yet: the host wants to know it."""
    if not isinstance(error, LanternError):
        error.__lantern_index__ = index  # type: ignore[attr-defined]
    elif error.index is None:
        error.index = index
