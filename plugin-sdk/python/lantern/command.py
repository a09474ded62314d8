"""What a process manager sends, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import codec


class Command:
    """A command to an aggregate, sent by ``db.send``: a dataclass whose name is the command's, or a name and its data::

        Command("account", to, Deposit(cents=500))
        Command("account", to, "Deposit", {"cents": 500})

    With ``due_ms`` it waits until then, in Unix milliseconds: a timeout is ``event.timestamp_ms + 30 * 60_000``. It is sent at
    that time or later, when the projection has applied what there is, unless ``db.cancel`` took it back.
    """

    __slots__ = ("aggregate", "due_ms", "id", "name", "payload")

    def __init__(
        self, aggregate: str, id: str, command: object, data: object = None, *, due_ms: int | None = None
    ) -> None:
        self.aggregate = aggregate
        self.id = id
        self.due_ms = due_ms
        if isinstance(command, str):
            self.name = command
            self.payload = codec.dump({} if data is None else data)
        else:
            self.name = type(command).__name__
            self.payload = codec.dump(command)


@dataclass
class Rejected:
    """What an aggregate refused, as the topic with ``.decisions`` behind its name has it: the data of an event of the type
    ``Rejected.TYPE``. The event's key is the aggregate's id. Register its handler as ``@projection.on(Rejected)``.
    """

    command: str
    """The command's name."""
    key: str = ""
    """Its idempotency key."""
    code: str = ""
    """Why, for programs."""
    message: str = ""
    """Why, for people."""
    detail: Any = None
    """More for programs."""

    def sent_by(self, plugin: str) -> str | None:
        """The key under which the process manager of this name sent the command; ``None`` if it did not."""
        prefix = f"{plugin}:"
        return self.key.removeprefix(prefix) if self.key.startswith(prefix) else None


Rejected.TYPE = "lantern.rejected"  # type: ignore[attr-defined]
