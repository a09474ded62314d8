from lantern.testing import ReadModel, event
from weather import Measured, StationInstalled, StationRetired, day_of, weather

HOUR_MS = 3_600_000


def test_what_is_late_does_not_turn_back_when_a_station_was_last_heard() -> None:
    model = ReadModel(weather)
    model.apply(
        StationInstalled("list", "List auf Sylt", 3),
        event(Measured("list", 31), timestamp_ms=2 * HOUR_MS),
        event(Measured("list", 30), timestamp_ms=HOUR_MS),
    )
    assert model.query("quiet", {"before": 3 * HOUR_MS}) == [
        {"station": "list", "name": "List auf Sylt", "last_ms": 2 * HOUR_MS}
    ]
    model.apply(StationRetired("list"))
    assert model.query("quiet", {"before": 3 * HOUR_MS}) == []


def test_a_day_is_shown_in_degrees() -> None:
    model = ReadModel(weather).apply(Measured("list", 31), Measured("list", 58))
    assert model.query("day", {"day": "1970-01-01"}) == [
        {"station": "list", "mean": 4.45, "warmest": 5.8, "coldest": 3.1}
    ]


def test_days_are_those_of_utc() -> None:
    assert day_of(1_767_225_599_999) == "2025-12-31"
    assert day_of(1_767_225_600_000) == "2026-01-01"
