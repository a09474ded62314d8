/* The projection of tests/conformance/README.md, which says what each event does. */
#include "lantern.h"

#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const lantern_manifest MANIFEST = {
    .name = "conformance-c",
    .version = "1.0.0",
    .description = "What every SDK must do the same",
    .topics = LANTERN_LIST("conformance"),
    .all_headers = true,
    .envelope = LANTERN_HEADER,
    .type_at = "type",
    .sends = LANTERN_LIST("counter"),
    .queries = LANTERN_QUERIES({"counter", "SELECT * FROM counters WHERE account = :account", "One counter"}),
    .schema = LANTERN_LIST(
        "CREATE TABLE records (topic TEXT, partition INTEGER, position INTEGER, type TEXT NOT NULL, timestamp_ms INTEGER NOT NULL, key BLOB, payload BLOB, trace BLOB, PRIMARY KEY (topic, partition, position))",
        "CREATE TABLE keys (key BLOB PRIMARY KEY, records INTEGER NOT NULL, last INTEGER)",
        "CREATE TABLE vals (id PRIMARY KEY, i, r, bits, t, b)",
        "CREATE TABLE counters (account TEXT PRIMARY KEY, events INTEGER, sum INTEGER, largest INTEGER, smallest INTEGER, last INTEGER)",
        "CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER, note TEXT DEFAULT 'none')",
        "CREATE TABLE reads (partition INTEGER, position INTEGER, step INTEGER, found INTEGER NOT NULL, n INTEGER, note TEXT, PRIMARY KEY (partition, position, step))",
        "CREATE TABLE sums (id TEXT PRIMARY KEY, n INTEGER NOT NULL)",
        "CREATE TABLE totals (id TEXT PRIMARY KEY, rows INTEGER, sum INTEGER, list TEXT, own INTEGER)",
        "CREATE TABLE caught (position INTEGER PRIMARY KEY, kind TEXT, message TEXT)",
        "CREATE TABLE words (id TEXT PRIMARY KEY, list TEXT, still INTEGER)",
        "CREATE TABLE ones (n INTEGER NOT NULL CHECK (n = 1))"),
};

static const lantern_table RECORDS =
    LANTERN_TABLE("records", LANTERN_KEY("topic", "partition", "position"),
                  LANTERN_COLUMNS("type", "timestamp_ms", "key", "payload", "trace"));
static const lantern_table KEYS = LANTERN_TABLE("keys", LANTERN_KEY("key"), LANTERN_COLUMNS("records", "last"));
static const lantern_table VALS =
    LANTERN_TABLE("vals", LANTERN_KEY("id"), LANTERN_COLUMNS("i", "r", "bits", "t", "b"));
static const lantern_table COUNTERS = LANTERN_TABLE(
    "counters", LANTERN_KEY("account"), LANTERN_COLUMNS("events", "sum", "largest", "smallest", "last"));
static const lantern_table TOTALS =
    LANTERN_TABLE("totals", LANTERN_KEY("id"), LANTERN_COLUMNS("rows", "sum", "list", "own"));
static const lantern_table CAUGHT =
    LANTERN_TABLE("caught", LANTERN_KEY("position"), LANTERN_COLUMNS("kind", "message"));
static const lantern_table WORDS = LANTERN_TABLE("words", LANTERN_KEY("id"), LANTERN_COLUMNS("list", "still"));

static bool record(const lantern_event *event, lantern_db *db) {
    lantern_put(db, &RECORDS, event->topic, event->partition, event->offset, event->kind, event->timestamp_ms, event->key,
                event->payload, lantern_header(event, "trace"));
    if (event->key.ptr) {
        lantern_row row = lantern_upsert(db, &KEYS, event->key);
        lantern_add(&row, "records", 1);
        lantern_set(&row, "last", event->offset);
    }
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f') return (c | 32) - 'a' + 10;
    return -1;
}

/* The bytes of hex digits, as many as there are pairs. */
static bool from_hex(const lantern_event *event, lantern_text hex, lantern_blob *into) {
    *into = (lantern_blob){NULL, 0};
    if (!hex.ptr) return true;
    uint8_t *bytes = lantern_alloc(hex.len / 2 + 1);
    for (size_t i = 0; i < hex.len; i++) {
        int digit = hex_digit(hex.ptr[i]);
        if (digit < 0 || hex.len % 2) return lantern_bad_input(event, "%.*s is not made of hex digits", LANTERN_ARG(hex));
        bytes[i / 2] = (uint8_t)(i % 2 ? bytes[i / 2] << 4 | digit : digit);
    }
    *into = (lantern_blob){bytes, hex.len / 2};
    return true;
}

typedef struct {
    lantern_text id;
    lantern_maybe_int i;
    lantern_maybe_real r;
    lantern_text bits, t, b;
} values_event;

static const lantern_field VALUES[] = {
    LANTERN_FIELD(values_event, id),      LANTERN_FIELD(values_event, i),    LANTERN_FIELD(values_event, r),
    LANTERN_OPTIONAL(values_event, bits), LANTERN_OPTIONAL(values_event, t), LANTERN_OPTIONAL(values_event, b),
    LANTERN_END,
};

static bool values(const lantern_event *event, lantern_db *db) {
    values_event is;
    lantern_blob b, bits;
    lantern_maybe_real real = {0};
    if (!lantern_read(event, VALUES, &is) || !from_hex(event, is.b, &b) || !from_hex(event, is.bits, &bits)) return false;
    if (bits.ptr) {
        uint64_t word = 0;
        for (size_t i = 0; i < bits.len; i++) word = word << 8 | bits.ptr[i];
        memcpy(&real.value, &word, sizeof word);
        real.there = true;
    }
    lantern_put(db, &VALS, is.id, is.i, is.r, real, is.t, b);
    return true;
}

typedef struct {
    lantern_text account;
    int64_t n;
} count_event;

static const lantern_field COUNT[] = {LANTERN_FIELD(count_event, account), LANTERN_FIELD(count_event, n), LANTERN_END};

static bool count(const lantern_event *event, lantern_db *db) {
    count_event is;
    if (!lantern_read(event, COUNT, &is)) return false;
    lantern_row row = lantern_upsert(db, &COUNTERS, is.account);
    lantern_add(&row, "events", 1);
    lantern_add(&row, "sum", is.n);
    lantern_max(&row, "largest", is.n);
    lantern_min(&row, "smallest", is.n);
    lantern_set(&row, "last", is.n);
    return true;
}

typedef struct {
    lantern_text id;
    int64_t n;
} sql_event;

static const lantern_field SQL[] = {LANTERN_FIELD(sql_event, id), LANTERN_FIELD(sql_event, n), LANTERN_END};

static bool sql(const lantern_event *event, lantern_db *db) {
    sql_event is;
    lantern_rows rows, own;
    int64_t sum = 0;
    lantern_text list = {"", 0};
    if (!lantern_read(event, SQL, &is)) return false;
    lantern_row row = lantern_upsert(db, &COUNTERS, is.id);
    lantern_add(&row, "sum", is.n);
    if (!lantern_execute(db, "INSERT INTO sums (id, n) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET n = n + excluded.n",
                         is.id, is.n))
        return false;
    if (!lantern_query(db, &rows, "SELECT id, n FROM sums ORDER BY n DESC, id")) return false;
    while (lantern_next_row(&rows)) {
        lantern_text id;
        int64_t n;
        if (!lantern_as_text(rows.values[0], &id) || !lantern_as_int(rows.values[1], &n)) return false;
        sum += n;
        list = lantern_format("%.*s%s%.*s=%lld", LANTERN_ARG(list), list.len ? "," : "", LANTERN_ARG(id), (long long)n);
    }
    if (!lantern_query(db, &own, "SELECT sum FROM counters WHERE account = ?1", is.id)) return false;
    lantern_value mine = {.kind = LANTERN_NULL};
    if (lantern_next_row(&own)) mine = own.values[0];
    lantern_put(db, &TOTALS, "all", rows.count, sum, list, mine);
    return true;
}

typedef struct {
    lantern_text which;
} caught_event;

static const lantern_field WHICH[] = {LANTERN_FIELD(caught_event, which), LANTERN_END};

static bool caught(const lantern_event *event, lantern_db *db) {
    caught_event is;
    lantern_rows rows;
    bool answered;
    if (!lantern_read(event, WHICH, &is)) return false;
    if (lantern_is(is.which, "missing")) answered = lantern_query(db, &rows, "SELECT n FROM missing");
    else if (lantern_is(is.which, "overflow")) answered = lantern_query(db, &rows, "SELECT abs(?1)", INT64_MIN);
    else if (lantern_is(is.which, "pragma")) answered = lantern_query(db, &rows, "PRAGMA user_version = 2");
    else return lantern_bad_input(event, "%.*s is none of the statements", LANTERN_ARG(is.which));
    if (answered) return lantern_fail(LANTERN_OTHER, "SQLite has not refused it");
    lantern_error error = lantern_caught();
    lantern_put(db, &CAUGHT, event->offset, lantern_fault_name(error.fault), error.message);
    return true;
}

typedef struct {
    lantern_text id, text;
} words_event;

static const lantern_field TEXT[] = {LANTERN_FIELD(words_event, id), LANTERN_FIELD(words_event, text), LANTERN_END};

static int by_bytes(const void *left, const void *right) {
    const lantern_text *a = left, *b = right;
    int order = memcmp(a->ptr, b->ptr, a->len < b->len ? a->len : b->len);
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* C has no hash map of its own: the words are sorted, and equal ones stand together. */
static bool words(const lantern_event *event, lantern_db *db) {
    words_event is;
    if (!lantern_read(event, TEXT, &is)) return false;
    lantern_text *words = lantern_alloc((is.text.len + 1) * sizeof *words);
    size_t count = 0, start = 0;
    for (size_t i = 0; i <= is.text.len; i++) {
        if (i < is.text.len && is.text.ptr[i] != ' ') continue;
        words[count++] = (lantern_text){is.text.ptr + start, i - start};
        start = i + 1;
    }
    qsort(words, count, sizeof *words, by_bytes);
    lantern_text list = {"", 0};
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && lantern_same(words[i], words[next]);) next++;
        list = lantern_format("%.*s%s%.*s=%zu", LANTERN_ARG(list), i ? "," : "", LANTERN_ARG(words[i]), next - i);
    }
    lantern_put(db, &WORDS, is.id, list, 1);
    return true;
}

typedef struct {
    lantern_text id;
    int64_t n;
    lantern_maybe_int due;
} send_event;

static const lantern_field SEND[] = {LANTERN_FIELD(send_event, id), LANTERN_FIELD(send_event, n),
                                     LANTERN_FIELD(send_event, due), LANTERN_END};

/* The data of the command that is sent. */
typedef struct {
    int64_t n;
} add_data;

static const lantern_field ADD[] = {LANTERN_FIELD(add_data, n), LANTERN_END};

static bool send(const lantern_event *event, lantern_db *db) {
    send_event is;
    if (!lantern_read(event, SEND, &is)) return false;
    lantern_message message = {
        .aggregate = lantern_str("counter"),
        .id = is.id,
        .command = lantern_str("Add"),
        .payload = lantern_json_write(ADD, &(add_data){is.n}),
        .due_ms = is.due,
    };
    lantern_send(db, event, lantern_format("send/%.*s", LANTERN_ARG(is.id)), message);
    return true;
}

typedef struct {
    lantern_text id;
} cancel_event;

static const lantern_field CANCEL[] = {LANTERN_FIELD(cancel_event, id), LANTERN_END};

static bool cancel(const lantern_event *event, lantern_db *db) {
    cancel_event is;
    if (!lantern_read(event, CANCEL, &is)) return false;
    lantern_cancel(db, lantern_format("send/%.*s", LANTERN_ARG(is.id)));
    return true;
}

typedef struct {
    lantern_text text;
} log_event;

static const lantern_field LOG[] = {LANTERN_FIELD(log_event, text), LANTERN_END};

static bool say(const lantern_event *event) {
    log_event is;
    if (!lantern_read(event, LOG, &is)) return false;
    lantern_log(LANTERN_WARN, "%.*s", LANTERN_ARG(is.text));
    return true;
}

typedef struct {
    lantern_text how;
} fail_event;

static const lantern_field HOW[] = {LANTERN_FIELD(fail_event, how), LANTERN_END};

static bool violate(lantern_db *db) { return lantern_execute(db, "INSERT INTO ones (n) VALUES (?1)", 2); }

static int recurse(int depth) {
    char text[16];
    int len = snprintf(text, sizeof text, "%d", depth);
    return len + recurse(depth + 1) + text[0];
}

static bool fail(const lantern_event *event, lantern_db *db) {
    fail_event is;
    lantern_rows rows;
    if (!lantern_read(event, HOW, &is)) return false;
    lantern_row row = lantern_upsert(db, &COUNTERS, "failed");
    lantern_add(&row, "events", 1);
    if (lantern_is(is.how, "bad-input")) return lantern_bad_input(event, "refused by the domain");
    if (lantern_is(is.how, "other")) return lantern_fail(LANTERN_OTHER, "an ordinary error");
    if (lantern_is(is.how, "unknown")) return lantern_execute(db, "INSERT INTO missing (n) VALUES (1)");
    if (lantern_is(is.how, "late")) return violate(db);
    if (lantern_is(is.how, "query")) return violate(db) && lantern_query(db, &rows, "SELECT count(*) FROM ones");
    if (lantern_is(is.how, "crash")) lantern_trap("boom");
    if (lantern_is(is.how, "recursion")) return lantern_bad_input(event, "%d", recurse(0));
    /* There is none here. */
    if (lantern_is(is.how, "random")) return lantern_bad_input(event, "random:");
    return lantern_bad_input(event, "%.*s is no way to fail", LANTERN_ARG(is.how));
}

static bool apply(const lantern_event *event, lantern_db *db) {
    if (lantern_is(event->kind, "Record")) return record(event, db);
    if (lantern_is(event->kind, "Values")) return values(event, db);
    if (lantern_is(event->kind, "Count")) return count(event, db);
    if (lantern_is(event->kind, "Row")) return rows_apply(event, db);
    if (lantern_is(event->kind, "Sql")) return sql(event, db);
    if (lantern_is(event->kind, "Caught")) return caught(event, db);
    if (lantern_is(event->kind, "Words")) return words(event, db);
    if (lantern_is(event->kind, "Send")) return send(event, db);
    if (lantern_is(event->kind, "Cancel")) return cancel(event, db);
    if (lantern_is(event->kind, "Log")) return say(event);
    if (lantern_is(event->kind, "Fail")) return fail(event, db);
    return true;
}

LANTERN_PROJECTION(MANIFEST, apply)
