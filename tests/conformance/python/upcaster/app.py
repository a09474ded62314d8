"""The upcaster of tests/conformance/README.md, which says what each event becomes."""

from dataclasses import dataclass
from typing import Any

from lantern import Event, Upcaster


@dataclass
class CountV1:
    account: str
    amount: int


@dataclass
class Count:
    account: str
    n: int


upcaster = Upcaster("upcaster-python", topics=["conformance-old"])


@upcaster.on(CountV1)
def count(event: Event[CountV1]) -> Count:
    return Count(event.data.account, event.data.amount)


@upcaster.on("RecordV1")
def record(event: Event[Any]) -> tuple[str, bytes | None]:
    return "Record", event.payload


@upcaster.on("GoneV1")
def gone(event: Event[Any]) -> tuple[str, None]:
    return "Record", None


@upcaster.on("BadV1")
def bad(event: Event[Any]) -> tuple[str, None]:
    raise event.bad_input("refused by the domain")
