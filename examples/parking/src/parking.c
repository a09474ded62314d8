/* The car parks of a town: which cars stand where, how full each is, and what was earned. */
#include "parking.h"

static const lantern_manifest MANIFEST = {
    .name = "parking",
    .version = "1.0.0",
    .description = "Cars, car parks and takings",
    .topics = LANTERN_LIST("parking"),
    .types = LANTERN_LIST("CarEntered", "CarLeft", "CarParkOpened"),
    .schema = LANTERN_LIST(
        "CREATE TABLE car_parks (park TEXT PRIMARY KEY, places INTEGER, cars INTEGER, fullest INTEGER)",
        "CREATE TABLE parked (plate TEXT PRIMARY KEY, park TEXT NOT NULL, since_ms INTEGER NOT NULL)",
        "CREATE TABLE takings (park TEXT, day TEXT, stays INTEGER, cents INTEGER, longest_minutes INTEGER, PRIMARY KEY (park, day))"),
    .queries = LANTERN_QUERIES(
        {"free-places", "SELECT park, places - ifnull(cars, 0) AS free FROM car_parks ORDER BY park", "Where there is room"},
        {"car", "SELECT park, since_ms FROM parked WHERE plate = :plate", "Where a car stands"}),
};

static const lantern_table CAR_PARKS =
    LANTERN_TABLE("car_parks", LANTERN_KEY("park"), LANTERN_COLUMNS("places", "cars", "fullest"));
static const lantern_table PARKED = LANTERN_TABLE("parked", LANTERN_KEY("plate"), LANTERN_COLUMNS("park", "since_ms"));
static const lantern_table TAKINGS =
    LANTERN_TABLE("takings", LANTERN_KEY("park", "day"), LANTERN_COLUMNS("stays", "cents", "longest_minutes"));

typedef struct {
    lantern_text park;
    int64_t places;
} opened;

static const lantern_field OPENED[] = {LANTERN_FIELD(opened, park), LANTERN_FIELD(opened, places), LANTERN_END};

typedef struct {
    lantern_text plate, park;
} car;

static const lantern_field CAR[] = {LANTERN_FIELD(car, plate), LANTERN_FIELD(car, park), LANTERN_END};

static bool open_park(const lantern_event *event, lantern_db *db) {
    opened park;
    if (!lantern_read(event, OPENED, &park)) return false;
    lantern_row row = lantern_upsert(db, &CAR_PARKS, park.park);
    lantern_set(&row, "places", park.places);
    return true;
}

static bool enter(const lantern_event *event, lantern_db *db) {
    car entered;
    lantern_stored park;
    if (!lantern_read(event, CAR, &entered) || !lantern_get(db, &CAR_PARKS, &park, entered.park)) return false;
    if (!park.values) return lantern_bad_input(event, "the car park %.*s was never opened", LANTERN_ARG(entered.park));

    int64_t cars = 1;
    lantern_value before = lantern_column(&park, "cars");
    if (before.kind == LANTERN_INT) cars += before.integer;
    lantern_row row = lantern_update(db, &CAR_PARKS, entered.park);
    lantern_set(&row, "cars", cars);
    lantern_max(&row, "fullest", cars);
    lantern_put(db, &PARKED, entered.plate, entered.park, event->timestamp_ms);
    return true;
}

static bool leave(const lantern_event *event, lantern_db *db) {
    car left;
    lantern_stored stay;
    int64_t since_ms;
    if (!lantern_read(event, CAR, &left) || !lantern_get(db, &PARKED, &stay, left.plate)) return false;
    if (!stay.values) return lantern_bad_input(event, "the car %.*s never came", LANTERN_ARG(left.plate));
    if (!lantern_as_int(lantern_column(&stay, "since_ms"), &since_ms)) return false;

    int64_t minutes = parking_minutes(since_ms, event->timestamp_ms);
    lantern_row park = lantern_update(db, &CAR_PARKS, left.park);
    lantern_add(&park, "cars", -1);
    lantern_row day = lantern_upsert(db, &TAKINGS, left.park, parking_day(event->timestamp_ms));
    lantern_add(&day, "stays", 1);
    lantern_add(&day, "cents", parking_fee_cents(minutes));
    lantern_max(&day, "longest_minutes", minutes);
    lantern_delete(db, &PARKED, left.plate);
    return true;
}

static bool apply(const lantern_event *event, lantern_db *db) {
    if (lantern_is(event->kind, "CarEntered")) return enter(event, db);
    if (lantern_is(event->kind, "CarLeft")) return leave(event, db);
    return open_park(event, db);
}

LANTERN_PROJECTION(MANIFEST, apply)
