"""What stands between the host and a plugin, in WebAssembly only. The module that ``lantern.build`` writes calls it."""

from __future__ import annotations

import gc
import random
import re
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from componentize_py_types import Err
from wit_world.imports import logger
from wit_world.imports.types import Failure
from wit_world.imports.types import Fault as HostFault

from . import log
from .aggregate import Aggregate, Rejection
from .codec import dump
from .db import Db
from .errors import Fault, LanternError
from .projection import Projection
from .upcaster import Upcaster

R = TypeVar("R")

_SMALL_BATCH_BYTES = 16 * 1024
# So many objects that were made and are still there may be cycles.
_CYCLES_MAX = 500

_TO_HOST = {fault: HostFault[fault.name] for fault in Fault}
_FROM_HOST = {theirs: ours for ours, theirs in _TO_HOST.items()}

log._use(logger.write)


def projection(plugin: Projection) -> tuple[type, type]:
    """The classes that the world ``projection-plugin`` exports."""
    _forbid_chance()
    # What is imported stays. What a batch leaves behind in cycles is collected behind it, and rarely within.
    gc.freeze()
    gc.set_threshold(10_000)
    db = Db(_Host())

    class Exported:
        def apply(self, events: bytes) -> bytes:
            try:
                return _answer(lambda: plugin.apply(events, db))
            finally:
                # Looking for cycles takes as long as a small batch, which leaves little behind.
                if len(events) > _SMALL_BATCH_BYTES or gc.get_count()[0] > _CYCLES_MAX:
                    gc.collect()

    return _meta(plugin), Exported


def aggregate(plugin: Aggregate[Any]) -> tuple[type, type]:
    """The classes that the world ``command-handler`` exports."""
    from wit_world.exports.commands import Decision_Events, Decision_Rejected
    from wit_world.exports.commands import Rejection as HostRejection

    _forbid_chance()

    def decide(request: bytes) -> Any:
        try:
            return Decision_Events(plugin.decide_frame(request))
        except Rejection as no:
            detail = None if no.detail is None else dump(no.detail).decode()
            return Decision_Rejected(HostRejection(no.code, no.message, detail))

    class Exported:
        def decide(self, request: bytes) -> Any:
            return _answer(lambda: decide(request))

        def evolve(self, state: bytes | None, events: bytes) -> bytes:
            return _answer(lambda: plugin.evolve_frame(state, events))

    return _meta(plugin), Exported


def upcaster(plugin: Upcaster) -> tuple[type, type]:
    """The classes that the world ``upcaster`` exports."""
    _forbid_chance()

    class Exported:
        def upcast(self, events: bytes) -> bytes:
            return _answer(lambda: plugin.upcast(events))

    return _meta(plugin), Exported


def _meta(plugin: Any) -> type:
    class Meta:
        def describe(self) -> str:
            return str(plugin.manifest.to_json())

    return Meta


class _Host:
    """The host that this instance lives in."""

    def __init__(self) -> None:
        # Other worlds have no database.
        from wit_world.imports import sql

        self.prepare = _raising(sql.prepare)
        self.apply = _raising(sql.apply)
        self.query = _raising(sql.query)


def _raising(function: Callable[..., R]) -> Callable[..., R]:
    def call(*arguments: Any) -> R:
        try:
            return function(*arguments)
        except Err as error:
            failure = error.value
            fault = _FROM_HOST[failure.kind]
            from .errors import SqlError

            kind = SqlError if fault in (Fault.SQL, Fault.CONFLICT) else LanternError
            raise kind(failure.message, fault=fault, index=failure.index) from None

    return call


def _answer(work: Callable[[], R]) -> R:
    try:
        return work()
    except LanternError as error:
        # An event that is at fault says where it is.
        frames = [] if error.fault is Fault.BAD_INPUT else _frames(error.__traceback__)
        raise Err(Failure(_TO_HOST[error.fault], "\n".join([str(error), *frames]), error.index)) from None
    except Exception as error:
        index = getattr(error, "__lantern_index__", None)
        raise Err(Failure(HostFault.OTHER, explain(error), index)) from None


def explain(error: BaseException) -> str:
    """An exception with its traceback, without the lines of the source: a plugin has no files to read them from."""
    said = str(error)
    lines = [f"{type(error).__name__}: {said}" if said else type(error).__name__, *_frames(error.__traceback__)]
    if error.__cause__ is not None:
        lines.append(f"  caused by {explain(error.__cause__)}")
    return "\n".join(lines)


def _frames(trace: TracebackType | None) -> list[str]:
    """Where in the plugin's own source it was raised, the innermost first."""
    lines = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if trace.tb_frame.f_globals.get("__package__") != __package__:
            # Each folder of modules is numbered in a plugin: `/0/app.py`.
            file = re.sub(r"^/\d+/", "", code.co_filename)
            lines.append(f"    at {code.co_qualname} ({file}:{trace.tb_lineno})")
        trace = trace.tb_next
    return lines[::-1]


def _forbid_chance() -> None:
    """A replay must give the same rows: what would differ raises, with what to do instead."""

    def forbidden(name: str, instead: str) -> Callable[..., Any]:
        def call(*_arguments: Any, **_named: Any) -> Any:
            raise LanternError(f"{name}() is not there: a replay would give other rows; {instead}", fault=Fault.UNSUPPORTED)

        return call

    clock = "use event.timestamp_ms, or context.time_ms"
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep"):
        setattr(time, name, forbidden(f"time.{name}", clock))
    chance = "derive it from the event"
    for name in dir(random):
        if not name.startswith("_") and isinstance(getattr(random, name), type(random.random)):
            setattr(random, name, forbidden(f"random.{name}", chance))
        elif getattr(getattr(random, name), "__self__", None) is not None:
            setattr(random, name, forbidden(f"random.{name}", chance))
    # What `SystemRandom` and `secrets` draw from; and a `Random` without a seed would ask the system, which ends the instance.
    setattr(random, "_urandom", forbidden("os.urandom", chance))
    seed, unseeded = random.Random.seed, forbidden("random.Random", chance)

    def seeded(self: random.Random, a: Any = None, version: int = 2) -> None:
        seed(self, unseeded() if a is None else a, version)

    setattr(random.Random, "seed", seeded)
    os = sys.modules.get("os")
    if os is not None:
        os.urandom = forbidden("os.urandom", chance)  # type: ignore[attr-defined]
