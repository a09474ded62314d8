"""What weather stations have measured: their days, their records, and which has gone quiet.

Temperatures are tenths of a degree, as stations send them: sums of integers are exact in any order.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from lantern import Db, Event, Projection, Query, Table, log


@dataclass
class StationInstalled:
    station: str
    name: str
    altitude_m: int


@dataclass
class Measured:
    station: str
    tenths: int
    rain_mm: float = 0.0


@dataclass
class StationRetired:
    station: str


STATIONS = Table("stations", key="station", columns=["name", "altitude_m", "last_ms", "retired"])
DAYS = Table("days", key=["station", "day"], columns=["readings", "sum", "warmest", "coldest"])
RECORDS = Table("records", key="station", columns=["warmest", "warmest_on", "wettest_mm", "wettest_on"])

# The coldest place on earth and the hottest: what is beyond is a broken sensor.
LEAST, MOST = -900, 600

weather = Projection(
    "weather",
    description="What weather stations have measured",
    topics=["weather"],
    schema=[
        """CREATE TABLE stations (
            station TEXT PRIMARY KEY,
            name TEXT,
            altitude_m INTEGER,
            last_ms INTEGER,
            retired INTEGER NOT NULL DEFAULT 0)""",
        """CREATE TABLE days (
            station TEXT, day TEXT,
            readings INTEGER NOT NULL, sum INTEGER NOT NULL, warmest INTEGER NOT NULL, coldest INTEGER NOT NULL,
            PRIMARY KEY (station, day))""",
        """CREATE TABLE records (
            station TEXT PRIMARY KEY,
            warmest INTEGER, warmest_on TEXT, wettest_mm REAL, wettest_on TEXT)""",
    ],
    queries={
        "day": Query(
            "SELECT station, sum / 10.0 / readings AS mean, warmest / 10.0 AS warmest, coldest / 10.0 AS coldest "
            "FROM days WHERE day = :day ORDER BY station",
            "Each station's day, in degrees",
        ),
        "quiet": Query(
            "SELECT station, name, last_ms FROM stations WHERE NOT retired AND last_ms < :before ORDER BY last_ms",
            "Stations that have measured nothing since a moment in Unix milliseconds",
        ),
    },
)


@weather.on(StationInstalled)
def installed(event: Event[StationInstalled], db: Db) -> None:
    station = event.data
    db.upsert(STATIONS, station.station).set(name=station.name, altitude_m=station.altitude_m, retired=False)


@weather.on(Measured)
def measured(event: Event[Measured], db: Db) -> None:
    reading = event.data
    if not LEAST <= reading.tenths <= MOST:
        # A broken sensor is no reason to stop: it is told, and passed over.
        log.warn(f"{event}: {reading.station} measured {reading.tenths / 10} degrees, which no place on earth has")
        return
    day = day_of(event.timestamp_ms)
    db.upsert(STATIONS, reading.station).max(last_ms=event.timestamp_ms)
    db.upsert(DAYS, (reading.station, day)).add(readings=1, sum=reading.tenths).max(warmest=reading.tenths).min(
        coldest=reading.tenths
    )
    keep_records(reading, day, db)


@weather.on(StationRetired)
def retired(event: Event[StationRetired], db: Db) -> None:
    db.update(STATIONS, event.data.station).set(retired=True)


def keep_records(reading: Measured, day: str, db: Db) -> None:
    """Remembers the first day of each record: equal later ones change nothing."""
    known = db.get(RECORDS, reading.station) or {"warmest": None, "wettest_mm": None}
    record = db.upsert(RECORDS, reading.station)
    if known["warmest"] is None or reading.tenths > known["warmest"]:
        record = record.set(warmest=reading.tenths, warmest_on=day)
    if reading.rain_mm > 0 and (known["wettest_mm"] is None or reading.rain_mm > known["wettest_mm"]):
        record.set(wettest_mm=reading.rain_mm, wettest_on=day)


def day_of(timestamp_ms: int) -> str:
    """The day in UTC."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).date().isoformat()
