"""The shared vectors of frames: bytes and what they mean, the same in every language."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lantern import Event, frame
from lantern.batch import Events
from lantern.errors import MangledFrame

VECTORS = Path(__file__).parents[2] / "wit" / "vectors"


def cases(name: str) -> list[Any]:
    vectors = json.loads((VECTORS / f"{name}.json").read_text())
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


def hexed(data: bytes | None) -> str | None:
    return None if data is None else data.hex()


def meaning(value: frame.Value) -> dict[str, str] | None:
    match value:
        case None:
            return None
        case int():
            return {"integer": str(value)}
        case float():
            return {"real": struct.pack(">d", value).hex()}
        case str():
            return {"text": value}
        case bytes():
            return {"blob": value.hex()}


def value(meaning: dict[str, str] | None) -> frame.Value:
    match meaning:
        case None:
            return None
        case {"integer": text}:
            return int(text)
        case {"real": text}:
            return float(struct.unpack(">d", bytes.fromhex(text))[0])
        case {"text": text}:
            return text
        case {"blob": text}:
            return bytes.fromhex(text)
    raise AssertionError(meaning)


def check(vector: dict[str, Any], read: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> None:
    data = bytes.fromhex(vector["frame"])
    if "error" in vector:
        with pytest.raises(MangledFrame) as raised:
            read(data)
        assert raised.value.code == vector["error"]
        return
    assert read(data) == vector["meaning"]
    written = write(vector["meaning"])
    assert read(written) == vector["meaning"]
    if vector.get("written"):
        assert written == data


def read_events(data: bytes) -> Any:
    batch = Events(data)
    events = [Event[Any](batch, n, lambda value: value) for n in range(len(batch.kinds))]
    return [
        {
            "offset": str(event.offset),
            "timestamp_ms": str(event.timestamp_ms),
            "topic": event.topic,
            "partition": event.partition,
            "type": event.type,
            "key": hexed(event.key),
            "payload": hexed(event.payload),
            "headers": [[name, hexed(value)] for name, value in event.headers],
        }
        for event in events
    ]


def write_events(meaning: Any) -> bytes:
    def raw(text: str | None) -> bytes | None:
        return None if text is None else bytes.fromhex(text)

    return frame.write_events(
        frame.NewEvent(
            type=event["type"],
            topic=event["topic"],
            partition=event["partition"],
            offset=int(event["offset"]),
            timestamp_ms=int(event["timestamp_ms"]),
            key=raw(event["key"]),
            payload=raw(event["payload"]),
            headers=[(name, raw(value)) for name, value in event["headers"]],
        )
        for event in meaning
    )


def read_rows(data: bytes) -> Any:
    rows = frame.Rows(data)
    return {"columns": rows.columns, "rows": [[meaning(value) for value in row] for row in rows.rows]}


def write_rows(meaning: Any) -> bytes:
    return frame.write_rows(meaning["columns"], [[value(each) for each in row] for row in meaning["rows"]])


def read_ops(data: bytes) -> Any:
    return [
        {"statement": op.statement, "event": op.event, "values": [meaning(value) for value in op.values]}
        for op in frame.read_ops(data)
    ]


def write_ops(meaning: Any) -> bytes:
    writer = frame.OpsWriter()
    for op in meaning:
        writer.push(op["statement"], op["event"], [value(each) for each in op["values"]])
    return writer.take()


@pytest.mark.parametrize("vector", cases("events"))
def test_frames_of_events_mean_what_the_vectors_say(vector: dict[str, Any]) -> None:
    check(vector, read_events, write_events)


@pytest.mark.parametrize("vector", cases("rows"))
def test_frames_of_rows_mean_what_the_vectors_say(vector: dict[str, Any]) -> None:
    check(vector, read_rows, write_rows)


@pytest.mark.parametrize("vector", cases("ops"))
def test_frames_of_writes_mean_what_the_vectors_say(vector: dict[str, Any]) -> None:
    check(vector, read_ops, write_ops)
