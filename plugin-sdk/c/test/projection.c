/* What lantern_test.h does with a projection. */
#include "lantern_test.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const lantern_manifest MANIFEST = {
    .name = "things",
    .topics = LANTERN_LIST("things"),
    .types = LANTERN_LIST("Put", "Add", "Sum", "Ask", "Execute", "Fail", "Trap", "Abort", "Assert", "Divide", "Seen"),
    .headers = LANTERN_LIST("trace"),
    .schema = LANTERN_LIST("CREATE TABLE vals (id TEXT PRIMARY KEY, v)",
                           "CREATE TABLE counts (id TEXT PRIMARY KEY, n INTEGER NOT NULL DEFAULT 7 CHECK (n < 100))",
                           "CREATE TABLE seen (id INTEGER PRIMARY KEY, topic TEXT, partition INTEGER, position INTEGER, "
                           "time_ms INTEGER, key BLOB, payload BLOB, trace BLOB, other BLOB)"),
    .queries = LANTERN_QUERIES({"count", "SELECT n FROM counts WHERE id = :id", "One count"}),
};

static const lantern_table VALS = LANTERN_TABLE("vals", LANTERN_KEY("id"), LANTERN_COLUMNS("v"));
static const lantern_table COUNTS = LANTERN_TABLE("counts", LANTERN_KEY("id"), LANTERN_COLUMNS("n"));

typedef struct {
    lantern_text id, sql;
    int64_t n;
} thing;

static const lantern_field THING[] = {LANTERN_OPTIONAL(thing, id), LANTERN_OPTIONAL(thing, sql), LANTERN_OPTIONAL(thing, n),
                                      LANTERN_END};

static volatile int zero;

static bool put_all(lantern_db *db) {
    lantern_put(db, &VALS, "largest", INT64_MAX);
    lantern_put(db, &VALS, "least", INT64_MIN);
    lantern_put(db, &VALS, "beyond a real", INT64_C(9007199254740993));
    lantern_put(db, &VALS, "real", 1.5);
    lantern_put(db, &VALS, "whole real", 2.0);
    lantern_put(db, &VALS, "text", "it's \xc3\xa9");
    lantern_put(db, &VALS, "empty text", "");
    lantern_put(db, &VALS, "blob", LANTERN_BYTES("\x00\xff"));
    lantern_put(db, &VALS, "empty blob", LANTERN_BYTES(""));
    lantern_put(db, &VALS, "null", LANTERN_SQL_NULL);
    return true;
}

/* What was written before, also in this batch, is there. */
static bool sum(lantern_db *db) {
    lantern_rows rows;
    lantern_stored count;
    if (!lantern_query(db, &rows, "SELECT sum(n), count(*) FROM counts") || !lantern_next_row(&rows)) return false;
    lantern_put(db, &VALS, "sum", rows.values[0]);
    if (!lantern_get(db, &COUNTS, &count, "a")) return false;
    lantern_put(db, &VALS, "a", count.values ? lantern_column(&count, "n") : LANTERN_SQL_NULL);
    return true;
}

static bool apply(const lantern_event *event, lantern_db *db) {
    thing is;
    if (lantern_is(event->kind, "Seen"))
        return lantern_execute(db, "INSERT INTO seen VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", event->topic, event->partition,
                               event->offset, event->timestamp_ms, event->key, event->payload, lantern_header(event, "trace"),
                               lantern_header(event, "other"));
    if (!lantern_read(event, THING, &is)) return false;
    if (lantern_is(event->kind, "Put")) return put_all(db);
    if (lantern_is(event->kind, "Sum")) return sum(db);
    if (lantern_is(event->kind, "Execute")) return lantern_execute(db, is.sql);
    if (lantern_is(event->kind, "Fail")) return lantern_bad_input(event, "no %.*s", LANTERN_ARG(is.id));
    if (lantern_is(event->kind, "Trap")) lantern_trap("there is no way out of %.*s", LANTERN_ARG(is.id));
    if (lantern_is(event->kind, "Abort")) abort();
    if (lantern_is(event->kind, "Assert")) assert(is.n == 5);
    if (lantern_is(event->kind, "Divide")) is.n = 7 / zero;
    if (lantern_is(event->kind, "Ask")) {
        lantern_rows rows;
        return lantern_query(db, &rows, is.sql);
    }
    lantern_row row = lantern_upsert(db, &COUNTS, is.id);
    lantern_add(&row, "n", is.n);
    return true;
}

LANTERN_PROJECTION(MANIFEST, apply)

LANTERN_TEST(values_of_every_kind_are_stored_as_they_are) {
    lantern_given(LANTERN_EVENT("Put"));
    lantern_then_rows("SELECT id, v, typeof(v) FROM vals ORDER BY id", LANTERN_ROW("beyond a real", 9007199254740993, "integer"),
                      LANTERN_ROW("blob", LANTERN_BYTES("\x00\xff"), "blob"),
                      LANTERN_ROW("empty blob", LANTERN_BYTES(""), "blob"), LANTERN_ROW("empty text", "", "text"),
                      LANTERN_ROW("largest", INT64_MAX, "integer"), LANTERN_ROW("least", INT64_MIN, "integer"),
                      LANTERN_ROW("null", LANTERN_SQL_NULL, "null"), LANTERN_ROW("real", 1.5, "real"),
                      LANTERN_ROW("text", "it's \xc3\xa9", "text"), LANTERN_ROW("whole real", 2.0, "real"));
}

LANTERN_TEST(each_test_begins_with_empty_tables) { lantern_then_no_rows("SELECT * FROM vals"); }

LANTERN_TEST(a_read_sees_what_the_batch_has_written_and_what_was_before_it) {
    lantern_given(LANTERN_EVENT("Add", {"id": "a", "n": 1}));
    lantern_given(LANTERN_EVENT("Add", {"id": "b", "n": 20}), LANTERN_EVENT("Add", {"id": "a", "n": 2}), LANTERN_EVENT("Sum"));
    lantern_then_rows("SELECT id, v FROM vals ORDER BY id", LANTERN_ROW("a", 3), LANTERN_ROW("sum", 23));
    lantern_rows rows = lantern_ask("count", "b");
    LANTERN_EXPECT(lantern_next_row(&rows) && rows.values[0].integer == 20 && !lantern_next_row(&rows));
}

LANTERN_TEST(an_event_is_given_with_all_that_it_has) {
    lantern_given({.type = "Seen", .json = LANTERN_JSON({"a": [1, "é\n"]}), .key = "k", .topic = "other", .partition = 3,
                   .offset = 17, .time_ms = 5, .headers = LANTERN_HEADERS({"trace", "t-1"}, {"other", "x"})},
                  {.type = "Seen", .payload = LANTERN_BYTES("\x00\x01"), .key_bytes = LANTERN_BYTES("\xff"),
                   .headers = LANTERN_HEADERS({"trace", NULL})},
                  {.type = "Seen", .tombstone = true});
    lantern_then_rows("SELECT topic, partition, position, time_ms, key, CAST(payload AS TEXT), trace, other FROM seen WHERE id = 1",
                      LANTERN_ROW("other", 3, 17, 5, LANTERN_BYTES("k"), "{\"a\": [1, \"é\\n\"]}", LANTERN_BYTES("t-1"),
                                  LANTERN_SQL_NULL));
    lantern_then_rows("SELECT topic, partition, position, time_ms, key, payload, trace FROM seen WHERE id > 1",
                      LANTERN_ROW("things", 0, 18, 5, LANTERN_BYTES("\xff"), LANTERN_BYTES("\x00\x01"), LANTERN_SQL_NULL),
                      LANTERN_ROW("things", 0, 19, 5, LANTERN_SQL_NULL, LANTERN_SQL_NULL, LANTERN_SQL_NULL));
}

LANTERN_TEST(types_that_are_not_read_are_passed_over_and_count_in_offsets) {
    lantern_given(LANTERN_EVENT("Unread"), LANTERN_EVENT("Seen"));
    lantern_then_rows("SELECT position, time_ms FROM seen", LANTERN_ROW(1, 1767225600000));
}

LANTERN_TEST(an_event_that_fails_is_named_and_leaves_nothing_of_its_batch) {
    lantern_given(LANTERN_EVENT("Add", {"id": "a", "n": 1}));
    lantern_given(LANTERN_EVENT("Unread"), LANTERN_EVENT("Add", {"id": "b", "n": 1}), LANTERN_EVENT("Fail", {"id": "way"}));
    lantern_then_fails("things/0@3 (Fail): no way");
    LANTERN_EXPECT(lantern_failed()->index == 2 && lantern_failed()->fault == LANTERN_BAD_INPUT);
    lantern_then_rows("SELECT id, n FROM counts", LANTERN_ROW("a", 1));
    lantern_given(LANTERN_EVENT("Add", {"id": "c", "n": 1}));
    lantern_then_rows("SELECT id FROM counts", LANTERN_ROW("a"), LANTERN_ROW("c"));
}

LANTERN_TEST(a_constraint_names_the_event_that_broke_it) {
    lantern_given(LANTERN_EVENT("Add", {"id": "a", "n": 1}), LANTERN_EVENT("Add", {"id": "b", "n": 100}),
                  LANTERN_EVENT("Add", {"id": "c", "n": 1}));
    lantern_then_fails("CHECK constraint failed");
    LANTERN_EXPECT(lantern_failed()->index == 1 && lantern_failed()->fault == LANTERN_CONFLICT);
    lantern_then_no_rows("SELECT * FROM counts");
}

LANTERN_TEST(sql_that_sqlite_refuses_is_said_with_the_statement) {
    lantern_given(LANTERN_EVENT("Execute", {"sql": "INSERT INTO nowhere VALUES (1)"}));
    lantern_then_fails("no such table: nowhere\n  in: INSERT INTO nowhere");
    LANTERN_EXPECT(lantern_failed()->index == 0 && lantern_failed()->fault == LANTERN_SQL);
    lantern_given(LANTERN_EVENT("Execute", {"sql": "INSERT INTO vals VALUES (?1, 1)"}));
    lantern_then_fails("the statement has 1 parameters, 0 values were given");
    lantern_given(LANTERN_EVENT("Execute", {"sql": "DELETE FROM vals; DELETE FROM counts"}));
    lantern_then_fails("Multiple statements");
    lantern_given(LANTERN_EVENT("Ask", {"sql": "DELETE FROM vals"}));
    lantern_then_fails("a query must not write");
}

LANTERN_TEST(what_the_host_refuses_is_refused) {
    static const struct {
        const char *json, *words;
    } REFUSED[] = {
        {LANTERN_JSON({"sql": "INSERT INTO vals VALUES ('r', random())"}), "random() gives other rows at every replay"},
        {LANTERN_JSON({"sql": "COMMIT"}), "a batch is one transaction"},
        {LANTERN_JSON({"sql": "PRAGMA foreign_keys = OFF"}), "the engine owns the settings"},
        {LANTERN_JSON({"sql": "CREATE TABLE more (id)"}), "tables are made by the manifest's schema"},
        {LANTERN_JSON({"sql": "ATTACH ':memory:' AS other"}), "a read model is one file"},
    };
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        lantern_given({.type = "Execute", .json = REFUSED[i].json});
        lantern_then_fails(REFUSED[i].words);
    }
}

LANTERN_TEST(a_trap_is_a_failure_and_the_next_batch_begins_anew) {
    lantern_given(LANTERN_EVENT("Add", {"id": "a", "n": 1}), LANTERN_EVENT("Trap", {"id": "here"}));
    lantern_then_fails("the plugin trapped: there is no way out of here");
    LANTERN_EXPECT(lantern_failed()->trapped && lantern_failed()->index == 1);
    lantern_given(LANTERN_EVENT("Abort"));
    lantern_then_fails("aborted");
    lantern_given(LANTERN_EVENT("Assert", {"n": 6}));
    lantern_then_fails("assertion failed: is.n == 5");
    lantern_given(LANTERN_EVENT("Divide"));
    lantern_then_fails("the plugin trapped: ");
    lantern_then_no_rows("SELECT * FROM counts");
    lantern_given(LANTERN_EVENT("Add", {"id": "b", "n": 2}));
    lantern_then_rows("SELECT id, n FROM counts", LANTERN_ROW("b", 2));
}
