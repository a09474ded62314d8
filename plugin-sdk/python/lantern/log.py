"""Messages for the plugin's log. They never reach the read model."""

from __future__ import annotations

import sys
from collections.abc import Callable

_LEVELS = ("error", "warn", "info", "debug", "trace")


def _to_stderr(level: int, message: str) -> None:
    sys.stderr.write(f"{_LEVELS[level]}: {message}\n")


_write: Callable[[int, str], None] = _to_stderr


def _use(write: Callable[[int, str], None]) -> None:
    global _write
    _write = write


def error(message: object) -> None:
    """Something is wrong."""
    _write(0, str(message))


def warn(message: object) -> None:
    """Something may be wrong."""
    _write(1, str(message))


def info(message: object) -> None:
    """Something happened that its reader wants to know."""
    _write(2, str(message))


def debug(message: object) -> None:
    """Something happened that helps to find a mistake."""
    _write(3, str(message))


def trace(message: object) -> None:
    """Everything else."""
    _write(4, str(message))
