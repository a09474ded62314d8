"""What the host offers within a batch."""

from __future__ import annotations

from typing import Protocol


class Host(Protocol):
    """The projection's own database: the real one in WebAssembly, one in memory in tests."""

    def prepare(self, sql: str) -> int:
        """Checks a statement and gives it an id."""

    def apply(self, ops: bytes) -> int:
        """Runs a frame of writes; answers how many rows changed."""

    def query(self, statement: int, params: bytes, rows_max: int) -> bytes:
        """Runs a statement that reads; answers a frame of rows."""
