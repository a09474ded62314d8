"""What a plugin says of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Query:
    """A query that is offered by name. Its parameters are named ``:name``."""

    sql: str
    description: str = ""


class Envelope:
    """Where an event's type stands in its record. Use one of its functions."""

    def __init__(self, form: dict[str, str]) -> None:
        self.form = form

    @staticmethod
    def cloud_events() -> Envelope:
        """CloudEvents, in Kafka's binary or structured content mode."""
        return Envelope({"kind": "cloud-events"})

    @staticmethod
    def header(name: str) -> Envelope:
        """In a header of the record."""
        return Envelope({"kind": "header", "name": name})

    @staticmethod
    def json_field(field: str) -> Envelope:
        """In a field of the JSON payload; dots lead into objects."""
        return Envelope({"kind": "json-field", "field": field})

    @staticmethod
    def topic(type: str | None = None) -> Envelope:
        """Every event of a topic is of one type: this one, or the topic's name."""
        return Envelope({"kind": "topic"} | ({} if type is None else {"type": type}))


@dataclass
class Manifest:
    """What a plugin is called, what it reads, and its tables."""

    name: str
    topics: Sequence[str]
    types: Sequence[str] = ()
    headers: Sequence[str] | None = ()
    envelope: Envelope = field(default_factory=Envelope.cloud_events)
    schema: Sequence[str] = ()
    state_version: int = 1
    queries: Mapping[str, Query] = field(default_factory=dict)
    sends: Sequence[str] = ()
    version: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", self.name):
            raise ValueError(
                f"the name {self.name!r}: use lower-case letters, digits, '-' and '_', starting with a letter, at most 64"
            )
        for name in ("topics", "types", "schema", "sends"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"`{name}` is a text: write a list of texts")
        if not self.topics or len(set(self.topics)) < len(self.topics):
            raise ValueError("`topics` is empty or names one twice: name each topic that is read once")

    def to_json(self) -> str:
        """The manifest as the host reads it."""
        form: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "topics": list(self.topics),
            "types": list(self.types),
            "headers": None if self.headers is None else list(self.headers),
            "envelope": self.envelope.form,
            "schema": list(self.schema),
            "state_version": self.state_version,
            "queries": {
                name: {"sql": query.sql, "description": query.description} for name, query in self.queries.items()
            },
        }
        if self.description:
            form["description"] = self.description
        if self.sends:
            form["sends"] = list(self.sends)
        return json.dumps(form, ensure_ascii=False)
