/* Native tests of a plugin: what lantern_test.h declares, and the host behind it, on a database in memory.
 *
 * In order: what a test is, the plugin's calls, SQLite, frames for the plugin, given and when, then, the program. */
#define _POSIX_C_SOURCE 200809L /* for what calls the plugin: signals, and the way out of it */
#define LANTERN_HOST
#include "lantern.c"

#include "lantern_test.h"

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>

static const int64_t FIRST_MS = 1767225600000; /* 2026-01-01T00:00:00Z */

/* ---- What a test is --------------------------------------------------------------------------------------------- */

typedef struct {
    lantern_text type;
    lantern_blob payload;
} happened;

/* What came of the last lantern_given or lantern_when. */
typedef struct {
    lantern_place place;
    bool failed, is_expected, rejected;
    lantern_failure failure;
    lantern_rejection rejection;
    happened *events;
    size_t count;
} outcome;

static struct {
    sqlite3 *sqlite;
    outcome last;
    buffer state;    /* of the aggregate, as JSON; empty before its first event */
    int64_t version; /* how many events it has had */
    int64_t offset, time_ms;
    sigjmp_buf end;
    buffer why; /* why it has failed */
} test;

/* Memory that lives until the test ends: what the SDK's own memory has is gone at the next call. */
typedef struct held {
    struct held *before;
    max_align_t bytes[];
} held;

static held *all_held;

static void *hold(const void *from, size_t len) {
    held *made = must(malloc(sizeof *made + len + 1));
    made->before = all_held;
    all_held = made;
    if (len) memcpy(made->bytes, from, len);
    ((char *)made->bytes)[len] = 0;
    return made->bytes;
}

static lantern_text hold_text(lantern_text text) {
    return text.ptr ? (lantern_text){hold(text.ptr, text.len), text.len} : text;
}

static lantern_blob hold_blob(lantern_blob blob) {
    return blob.ptr ? (lantern_blob){hold(blob.ptr, blob.len), blob.len} : blob;
}

static void why_text(const char *format, ...) LANTERN_PRINTF(1, 2);
static void why_text(const char *format, ...) {
    va_list rest;
    va_start(rest, format);
    lantern_text text = format_rest(format, rest);
    va_end(rest);
    append(&test.why, text.ptr, text.len);
}

static _Noreturn void end_test(void) { siglongjmp(test.end, 1); }

static void why_begins(lantern_place place) {
    test.why.len = 0;
    why_text("      %s:%d: ", place.file, place.line);
}

_Noreturn void lantern_test_fail(lantern_place place, const char *format, ...) {
    FORMAT_REST(text, format);
    why_begins(place);
    for (size_t i = 0; i < text.len; i++) {
        append_byte(&test.why, text.ptr[i]);
        if (text.ptr[i] == '\n') append_str(&test.why, "      ");
    }
    append_byte(&test.why, '\n');
    end_test();
}

/* What has failed and nobody expected ends the test, at the place that it was given at. */
static void expect_no_failure(void) {
    const outcome *last = &test.last;
    if (!last->failed || last->is_expected) return;
    const lantern_failure *why = &last->failure;
    if (why->index < 0)
        lantern_test_fail(last->place, "fails: %s: %.*s", lantern_fault_name(why->fault), LANTERN_ARG(why->message));
    lantern_test_fail(last->place, "event %lld fails: %s: %.*s", (long long)why->index, lantern_fault_name(why->fault),
                      LANTERN_ARG(why->message));
}

/* ---- The plugin's calls ----------------------------------------------------------------------------------------- */

/* What would end an instance ends the call: the signals of abort, of a division by zero, and of what cannot be reached. */
static const int TRAPS[] = {SIGABRT, SIGFPE, SIGILL};
enum { TRAPS_COUNT = sizeof TRAPS / sizeof *TRAPS };

static volatile sig_atomic_t is_inside;
static sigjmp_buf outside;
static char trap_message[1200];

static _Noreturn void leave(void) { siglongjmp(outside, 1); }

static _Noreturn void host_trap(lantern_text text) {
    if (!is_inside) {
        fprintf(stderr, "error: %.*s\n", LANTERN_ARG(text));
        abort();
    }
    snprintf(trap_message, sizeof trap_message, "%.*s", LANTERN_ARG(text));
    leave();
}

static void on_signal(int number) {
    const char *what = number == SIGABRT  ? "aborted"
                       : number == SIGFPE ? "a division by zero, or one that overflows"
                                          : "an instruction that cannot be reached";
    /* Its message, if it has one, is there before the signal. */
    if (!trap_message[0]) memcpy(trap_message, what, strlen(what) + 1);
    leave();
}

#ifdef __linux__
/* As glibc and musl call it for assert(): its message would only be on standard error. */
_Noreturn void __assert_fail(const char *what, const char *file, unsigned line, const char *function) {
    lantern_trap("assertion failed: %s (%s:%u, %s)", what, file, line, function);
}
#endif

typedef struct {
    enum { APPLY, EVOLVE, DECIDE, UPCAST } what;
    const uint8_t *frame, *state;
    size_t len, state_len;
} call;

static answer *call_now(const call *is) {
    switch (is->what) {
    case APPLY:
        return lantern_apply(lantern_the_plugin.apply, is->frame, is->len);
    case EVOLVE:
        return lantern_evolve(lantern_the_plugin.aggregate, is->state, is->state_len, is->frame, is->len);
    case DECIDE:
        return lantern_decide(lantern_the_plugin.aggregate, is->frame, is->len);
    case UPCAST:
        break;
    }
    return lantern_upcast(lantern_the_plugin.upcast, is->frame, is->len);
}

/* Gives back what the plugin was handed out before, and spoils it, so that who has kept it sees that. */
static void spoil(void) {
    for (chunk *at = chunks; at; at = at->before) {
        uint8_t *base = (uint8_t *)(at + 1);
        memset(base + (-(uintptr_t)base & 15), 0xa5, at->used);
    }
    lantern_done(NULL);
}

/* Calls the plugin; NULL when it was trapped. */
static answer *call_plugin(const call *is) {
    struct sigaction now = {.sa_handler = on_signal}, before[TRAPS_COUNT];
    answer *volatile answered = NULL;
    spoil();
    trap_message[0] = 0;
    for (int i = 0; i < TRAPS_COUNT; i++) sigaction(TRAPS[i], &now, &before[i]);
    is_inside = 1;
    if (!sigsetjmp(outside, 1)) answered = call_now(is);
    is_inside = 0;
    for (int i = 0; i < TRAPS_COUNT; i++) sigaction(TRAPS[i], &before[i], NULL);
    return answered;
}

/* Whether the plugin has answered well; what is wrong is noted as the outcome. */
static bool went_well(const answer *answered) {
    if (answered && !answered->failed) return true;
    outcome *last = &test.last;
    last->failed = true;
    if (answered) {
        last->failure = (lantern_failure){(lantern_fault)answered->failure.fault, hold_text(answered->failure.message),
                                          answered->failure.has_index ? (int64_t)answered->failure.index : -1, false};
    } else {
        lantern_text text = lantern_format("the plugin trapped: %s", trap_message);
        last->failure = (lantern_failure){LANTERN_OTHER, hold_text(text), the_db.event == NONE ? -1 : (int64_t)the_db.event, true};
        db_reset(&the_db);
    }
    return false;
}

/* ---- SQLite: what a plugin may do with it, its statements, its values ------------------------------------------- */

/* Ids stay for as long as the program runs, as the SDK does; each database prepares them for itself. */
typedef struct {
    char *sql;
    sqlite3_stmt *statement;
} known_statement;

static buffer known;

static struct {
    bool is_plugin, is_sending;
    char refusal[256];
} authority;

static int refuse(const char *format, const char *name) {
    snprintf(authority.refusal, sizeof authority.refusal, format, name);
    return SQLITE_DENY;
}

static int judge_table(const char *table, bool writes) {
    if (!table || strncmp(table, "_lantern_", 9) != 0) return SQLITE_OK;
    if (strcmp(table, OUTBOX.name) != 0)
        return refuse("%s is Lantern's own: names starting with _lantern_ are reserved", table);
    if (writes) authority.is_sending = true;
    return authority.is_sending ? SQLITE_OK
                                : refuse("%s cannot be read: when a command was sent is no fact of the log; keep what you "
                                         "need in a table", table);
}

/* What the host refuses, in its words. */
static int judge(void *none, int action, const char *first, const char *second, const char *database, const char *trigger) {
    (void)none, (void)database, (void)trigger;
    if (!authority.is_plugin) return SQLITE_OK;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_READ:
        return judge_table(first, false);
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
        return judge_table(first, true);
    case SQLITE_FUNCTION:
        if (sqlite3_stricmp(second, "random") != 0 && sqlite3_stricmp(second, "randomblob") != 0) return SQLITE_OK;
        return refuse("%s() gives other rows at every replay: derive what you need from the event", second);
    case SQLITE_PRAGMA:
        return refuse("PRAGMA %s is not offered: the engine owns the settings", first);
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
        return refuse("%s and its like belong to the engine: a batch is one transaction", first);
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
        return refuse("ATTACH and DETACH are not offered: a read model is one file%s", "");
    default:
        return refuse("tables are made by the manifest's schema, not while events are applied%s", "");
    }
}

static bool host_fails(answer *into, lantern_fault fault, lantern_text message, uint32_t event) {
    *into = (answer){.failed = 1};
    into->failure.fault = (uint8_t)fault;
    into->failure.message = message;
    into->failure.has_index = event != NONE;
    into->failure.index = event;
    return false;
}

static bool sql_fails(answer *into, const char *sql, uint32_t event) {
    bool conflicts = sqlite3_errcode(test.sqlite) == SQLITE_CONSTRAINT;
    const char *why = authority.refusal[0] ? authority.refusal : sqlite3_errmsg(test.sqlite);
    return host_fails(into, conflicts ? LANTERN_CONFLICT : LANTERN_SQL, lantern_format("%s\n  in: %.200s", why, sql), event);
}

static bool is_blank(const char *sql) { return sql[strspn(sql, " \t\r\n;")] == 0; }

static bool open_statement(known_statement *is, answer *into) {
    const char *rest = "";
    if (is->statement) return true;
    authority.is_sending = false;
    authority.refusal[0] = 0;
    if (sqlite3_prepare_v2(test.sqlite, is->sql, -1, &is->statement, &rest) != SQLITE_OK) return sql_fails(into, is->sql, NONE);
    if (!is->statement) return host_fails(into, LANTERN_SQL, lantern_str("an empty statement"), NONE);
    if (is_blank(rest)) return true;
    sqlite3_finalize(is->statement);
    is->statement = NULL;
    return host_fails(into, LANTERN_SQL, lantern_str("Multiple statements: send one, and the others after it"), NONE);
}

static void host_prepare(const char *sql, size_t len, answer *into) {
    known_statement *all = (known_statement *)known.ptr;
    uint32_t at = 0, count = (uint32_t)(known.len / sizeof *all);
    while (at < count && (strlen(all[at].sql) != len || memcmp(all[at].sql, sql, len) != 0)) at++;
    *into = (answer){.failed = 0};
    into->number = at;
    if (at < count) {
        open_statement(&all[at], into);
        return;
    }
    known_statement is = {must(malloc(len + 1)), NULL};
    memcpy(is.sql, sql, len);
    is.sql[len] = 0;
    if (open_statement(&is, into)) append(&known, &is, sizeof is);
    else free(is.sql);
}

static bool bind(const known_statement *is, const lantern_value *values, uint32_t count, answer *into, uint32_t event) {
    uint32_t wanted = (uint32_t)sqlite3_bind_parameter_count(is->statement);
    if (wanted != count)
        return host_fails(into, LANTERN_SQL,
                          lantern_format("the statement has %u parameters, %u values were given\n  in: %.200s",
                                         (unsigned)wanted, (unsigned)count, is->sql), event);
    for (uint32_t i = 0; i < count; i++) {
        const lantern_value *value = &values[i];
        int at = (int)i + 1, len = (int)value->len, code = SQLITE_OK;
        switch (value->kind) {
        case LANTERN_INT:
            code = sqlite3_bind_int64(is->statement, at, value->integer);
            break;
        case LANTERN_REAL:
            code = sqlite3_bind_double(is->statement, at, value->real);
            break;
        case LANTERN_TEXT:
            code = sqlite3_bind_text(is->statement, at, value->text, len, SQLITE_TRANSIENT);
            break;
        case LANTERN_BLOB:
            code = sqlite3_bind_blob(is->statement, at, value->blob, len, SQLITE_TRANSIENT);
            break;
        default:
            code = sqlite3_bind_null(is->statement, at);
        }
        if (code != SQLITE_OK) return sql_fails(into, is->sql, event);
    }
    return true;
}

/* The statement that a frame names, and its values. */
static known_statement *bound(const frame_layout *layout, const uint8_t *row, uint32_t item, size_t at, uint32_t id,
                              uint32_t event, answer *into) {
    known_statement *is = (known_statement *)known.ptr + id;
    uint32_t count = u32_at(row + at + 4);
    lantern_value *values = take((count + 1) * sizeof *values, 8);
    if (id >= known.len / sizeof *is) {
        host_fails(into, LANTERN_OTHER, lantern_format("statement %u was never prepared", (unsigned)id), event);
        return NULL;
    }
    const char *mangled = frame_values(layout, item, at, values, count);
    if (mangled) host_fails(into, LANTERN_OTHER, lantern_format("a mangled frame: %s", mangled), event);
    return !mangled && open_statement(is, into) && bind(is, values, count, into, event) ? is : NULL;
}

static void host_apply(const uint8_t *frame, size_t len, answer *into) {
    frame_layout layout;
    const char *mangled = frame_parse(&layout, frame, len, OPS, OP_STRIDE);
    *into = (answer){.failed = 0};
    if (mangled) host_fails(into, LANTERN_OTHER, lantern_format("a mangled frame: %s", mangled), NONE);
    for (uint32_t item = 0; !into->failed && item < layout.count; item++) {
        const uint8_t *row = layout.index + (size_t)item * layout.stride;
        uint32_t event = u32_at(row + 4);
        known_statement *is = bound(&layout, row, item, 8, u32_at(row), event, into);
        if (!is) return;
        int code = sqlite3_step(is->statement);
        if (code == SQLITE_ROW)
            host_fails(into, LANTERN_SQL, lantern_format("a write must not answer rows\n  in: %.200s", is->sql), event);
        else if (code != SQLITE_DONE) sql_fails(into, is->sql, event);
        else into->number += (uint32_t)sqlite3_changes(test.sqlite);
        sqlite3_reset(is->statement);
    }
}

static lantern_value column_value(sqlite3_stmt *statement, int at) {
    lantern_value value = {.kind = LANTERN_NULL};
    switch (sqlite3_column_type(statement, at)) {
    case SQLITE_INTEGER:
        return lantern_value_int(sqlite3_column_int64(statement, at));
    case SQLITE_FLOAT:
        return lantern_value_real(sqlite3_column_double(statement, at));
    case SQLITE_TEXT:
        value.text = (const char *)sqlite3_column_text(statement, at);
        value.len = (uint32_t)sqlite3_column_bytes(statement, at);
        value.kind = is_utf8(value.blob, value.len) ? LANTERN_TEXT : LANTERN_BLOB;
        break;
    case SQLITE_BLOB:
        value.blob = sqlite3_column_blob(statement, at);
        value.len = (uint32_t)sqlite3_column_bytes(statement, at);
        value.kind = LANTERN_BLOB;
    }
    return value;
}

/* The rows of a statement that is bound, as a frame. */
static bool read_rows(sqlite3_stmt *statement, uint32_t rows_max, buffer *out) {
    static writer rows;
    int code = SQLITE_DONE, columns = sqlite3_column_count(statement);
    writer_clear(&rows);
    for (int i = 0; i < columns; i++) writer_text(&rows, sqlite3_column_name(statement, i));
    while (rows.count < rows_max && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        uint32_t item[2] = {(uint32_t)rows.arena.len, (uint32_t)columns};
        for (int i = 0; i < columns; i++) append_value(&rows.arena, column_value(statement, i));
        append(&rows.index, item, sizeof item);
        rows.count++;
    }
    writer_finish(&rows, ROWS, ROW_STRIDE, out);
    return code == SQLITE_DONE || code == SQLITE_ROW;
}

static void host_query(uint32_t statement, const uint8_t *params, size_t len, uint32_t rows_max, answer *into) {
    static buffer out;
    frame_layout layout;
    const char *mangled = frame_parse(&layout, params, len, ROWS, ROW_STRIDE);
    *into = (answer){.failed = 0};
    if (mangled || !layout.count) {
        host_fails(into, LANTERN_OTHER, lantern_format("a mangled frame: %s", mangled ? mangled : "no row"), NONE);
        return;
    }
    known_statement *is = bound(&layout, layout.index, 0, 0, statement, NONE, into);
    if (!is) return;
    if (!sqlite3_stmt_readonly(is->statement)) {
        host_fails(into, LANTERN_SQL, lantern_format("a query must not write\n  in: %.200s", is->sql), NONE);
        return;
    }
    if (read_rows(is->statement, rows_max, &out)) into->bytes = (lantern_blob){copy_of(out.ptr, out.len), out.len};
    else sql_fails(into, is->sql, NONE);
    sqlite3_reset(is->statement);
}

static bool run_sql(const char *sql) { return sqlite3_exec(test.sqlite, sql, NULL, NULL, NULL) == SQLITE_OK; }

static _Noreturn void database_fails(const char *sql) {
    why_text("      the schema: %s\n        in: %s\n", sqlite3_errmsg(test.sqlite), sql);
    end_test();
}

/* The outbox of a process manager, which takes commands for the aggregates that the manifest names. */
static void make_outbox(const char *const *sends) {
    buffer sql = {0};
    append_str(&sql, "CREATE TABLE _lantern_outbox (seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, aggregate TEXT NOT NULL, "
                     "id TEXT NOT NULL, command TEXT NOT NULL, payload BLOB NOT NULL, due_ms INTEGER, correlation TEXT, "
                     "causation TEXT); CREATE TRIGGER _lantern_outbox_sends BEFORE INSERT ON _lantern_outbox "
                     "WHEN NEW.aggregate NOT IN (");
    for (size_t i = 0; sends[i]; i++) {
        append_str(&sql, i ? ", '" : "'");
        append_str(&sql, sends[i]);
        append_byte(&sql, '\'');
    }
    append_str(&sql, ") BEGIN SELECT RAISE(ABORT, 'the manifest''s `sends` does not name this aggregate'); END");
    append_byte(&sql, 0);
    bool is_made = run_sql((const char *)sql.ptr);
    free(sql.ptr);
    if (!is_made) database_fails("_lantern_outbox");
}

static void open_database(void) {
    const lantern_manifest *manifest = lantern_the_plugin.manifest;
    sqlite3_open(":memory:", &test.sqlite);
    run_sql("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF");
    for (size_t i = 0; manifest->schema && manifest->schema[i]; i++)
        if (!run_sql(manifest->schema[i])) database_fails(manifest->schema[i]);
    if (manifest->sends) make_outbox(manifest->sends);
    sqlite3_set_authorizer(test.sqlite, judge, NULL);
}

static void close_database(void) {
    known_statement *all = (known_statement *)known.ptr;
    for (size_t i = 0; i < known.len / sizeof *all; i++) {
        sqlite3_finalize(all[i].statement);
        all[i].statement = NULL;
    }
    sqlite3_close(test.sqlite);
    test.sqlite = NULL;
}

/* ---- Frames for the plugin -------------------------------------------------------------------------------------- */

static writer events_out;
static buffer frame_out;

static uint32_t events_text(lantern_text text) {
    uint32_t entry[2] = {(uint32_t)events_out.arena.len, (uint32_t)text.len};
    append(&events_out.texts, entry, sizeof entry);
    append(&events_out.arena, text.ptr, text.len);
    return (uint32_t)(events_out.texts.len / 8 - 1);
}

/* Position and length of bytes in the arena. */
static void events_bytes(uint32_t *into, lantern_blob bytes) {
    into[0] = bytes.ptr ? (uint32_t)events_out.arena.len : 0;
    into[1] = bytes.ptr ? (uint32_t)bytes.len : NONE;
    if (bytes.ptr) append(&events_out.arena, bytes.ptr, bytes.len);
}

static bool is_listed(const char *const *list, const char *name) {
    for (; list && *list; list++)
        if (strcmp(*list, name) == 0) return true;
    return false;
}

static bool header_is_read(const char *name) {
    const lantern_manifest *manifest = lantern_the_plugin.manifest;
    if (manifest->all_headers || !lantern_the_plugin.apply || is_listed(manifest->headers, name)) return true;
    return manifest->sends && is_listed(LANTERN_LIST("ce_id", "ce_correlationid"), name);
}

static uint32_t events_headers(const lantern_given_header *headers, uint32_t *count) {
    buffer entries = {0};
    *count = 0;
    for (; headers && headers->name; headers++) {
        if (!header_is_read(headers->name)) continue;
        uint32_t entry[3] = {events_text(lantern_str(headers->name)), 0, 0};
        lantern_text value = lantern_str(headers->value);
        events_bytes(entry + 1, (lantern_blob){(const uint8_t *)value.ptr, value.len});
        append(&entries, entry, sizeof entry);
        ++*count;
    }
    uint32_t at = (uint32_t)events_out.arena.len;
    append(&events_out.arena, entries.ptr, entries.len);
    free(entries.ptr);
    return at;
}

static lantern_blob data_of(const char *json, lantern_blob payload, bool tombstone) {
    if (payload.ptr || tombstone) return payload;
    lantern_text text = lantern_str(json && *json ? json : "{}");
    return (lantern_blob){(const uint8_t *)text.ptr, text.len};
}

static void push_event(lantern_text type, lantern_blob payload, lantern_blob key, const lantern_event_given *given) {
    const char *const *topics = lantern_the_plugin.manifest->topics;
    const char *topic = given->topic ? given->topic : topics && topics[0] ? topics[0] : "topic";
    struct {
        int64_t offset, time_ms;
        uint32_t topic;
        int32_t partition;
        uint32_t kind, key[2], payload[2], headers[2], reserved;
    } item = {.offset = given->offset ? given->offset : test.offset, .partition = given->partition};
    _Static_assert(sizeof item == EVENT_STRIDE, "as plugin-sdk/wit/frames.md lays an event out");
    if (given->time_ms) test.time_ms = given->time_ms;
    test.offset = item.offset + 1;
    item.time_ms = test.time_ms;
    item.topic = events_text(lantern_str(topic));
    item.kind = events_text(type);
    events_bytes(item.key, key);
    events_bytes(item.payload, payload);
    item.headers[0] = events_headers(given->headers, &item.headers[1]);
    append(&events_out.index, &item, sizeof item);
    events_out.count++;
}

static void push_given(const lantern_event_given *given, const char *id) {
    lantern_text key = lantern_str(given->key ? given->key : id);
    lantern_blob bytes = given->key_bytes;
    if (!bytes.ptr) bytes = (lantern_blob){(const uint8_t *)key.ptr, key.len};
    push_event(lantern_str(given->type), data_of(given->json, given->payload, given->tombstone), bytes, given);
}

static void finish_events(void) { writer_finish(&events_out, EVENTS, EVENT_STRIDE, &frame_out); }

/* ---- Given and when --------------------------------------------------------------------------------------------- */

static void begin(lantern_place place) {
    expect_no_failure();
    test.last = (outcome){.place = place};
}

/* Applies the batch that is in frame_out in a transaction. */
static void apply_batch(void) {
    answer written = {.failed = 0};
    run_sql("BEGIN");
    authority.is_plugin = true;
    answer *answered = call_plugin(&(call){.what = APPLY, .frame = frame_out.ptr, .len = frame_out.len});
    bool right = went_well(answered);
    if (right) {
        host_apply(answered->bytes.ptr, answered->bytes.len, &written);
        right = went_well(&written);
    }
    authority.is_plugin = false;
    if (right && !run_sql("COMMIT")) {
        sql_fails(&written, "COMMIT", NONE);
        right = went_well(&written);
    }
    if (!right) run_sql("ROLLBACK");
}

/* The events that the manifest reads; a failure's index is that of the event as it was given. */
static void apply_given(const lantern_event_given *events, size_t count) {
    const char *const *types = lantern_the_plugin.manifest->types;
    buffer places = {0};
    for (size_t i = 0; i < count; i++) {
        if (list_len(types) && !is_listed(types, events[i].type)) {
            test.offset++;
            continue;
        }
        push_given(&events[i], NULL);
        append_u32(&places, (uint32_t)i);
    }
    finish_events();
    apply_batch();
    int64_t *index = &test.last.failure.index;
    if (test.last.failed && *index >= 0) *index = u32_at(places.ptr + 4 * (size_t)*index);
    free(places.ptr);
}

/* The aggregate goes by the events that are in frame_out. */
static bool evolve(size_t count) {
    call is = {.what = EVOLVE, .frame = frame_out.ptr, .len = frame_out.len};
    if (test.version) is.state = test.state.ptr, is.state_len = test.state.len;
    answer *answered = call_plugin(&is);
    if (!went_well(answered)) return false;
    test.state.len = 0;
    append(&test.state, answered->bytes.ptr, answered->bytes.len);
    test.version += (int64_t)count;
    return true;
}

/* Keeps rows of `type` and `payload`. */
static void keep_events(lantern_blob bytes) {
    frame_layout layout;
    outcome *last = &test.last;
    const char *mangled = frame_parse(&layout, bytes.ptr, bytes.len, ROWS, ROW_STRIDE);
    if (mangled) lantern_test_fail(last->place, "a mangled frame: %s", mangled);
    happened *events = must(calloc(layout.count + 1, sizeof *events));
    for (uint32_t i = 0; i < layout.count; i++) {
        lantern_value row[2];
        mangled = frame_values(&layout, i, 0, row, 2);
        if (mangled) lantern_test_fail(last->place, "a mangled frame: %s", mangled);
        events[i].type = hold_text((lantern_text){row[0].text, row[0].len});
        if (row[1].kind != LANTERN_NULL) events[i].payload = hold_blob((lantern_blob){row[1].blob, row[1].len});
    }
    last->events = hold(events, (layout.count + 1) * sizeof *events);
    last->count = layout.count;
    free(events);
}

static void upcast_given(void) {
    answer *answered = call_plugin(&(call){.what = UPCAST, .frame = frame_out.ptr, .len = frame_out.len});
    if (went_well(answered)) keep_events(answered->bytes);
}

void lantern_given_at(lantern_place place, const lantern_event_given *events, size_t count) {
    begin(place);
    writer_clear(&events_out);
    if (lantern_the_plugin.apply) {
        apply_given(events, count);
        return;
    }
    for (size_t i = 0; i < count; i++) push_given(&events[i], lantern_the_plugin.aggregate ? "id" : NULL);
    finish_events();
    if (lantern_the_plugin.aggregate) evolve(count);
    else upcast_given();
}

static void write_request(const lantern_command_given *command) {
    static writer request;
    lantern_blob data = data_of(command->json, (lantern_blob){NULL, 0}, false), state = {test.state.ptr, test.state.len};
    if (!test.version) state.ptr = NULL;
    const lantern_value values[REQUEST_COLUMNS] = {
        [R_AGGREGATE] = lantern_value_str(lantern_the_plugin.manifest->name),
        [R_ID] = lantern_value_str(command->id ? command->id : "id"),
        [R_VERSION] = lantern_value_int(test.version),
        [R_STATE] = lantern_value_blob(state),
        [R_COMMAND] = lantern_value_str(command->name),
        [R_PAYLOAD] = lantern_value_blob(data),
        [R_TIME] = lantern_value_int(command->time_ms ? command->time_ms : test.time_ms),
        [R_CORRELATION] = lantern_value_str(command->correlation),
    };
    writer_clear(&request);
    for (int i = 0; i < REQUEST_COLUMNS; i++) writer_text(&request, REQUEST[i].name);
    uint32_t item[2] = {(uint32_t)request.arena.len, REQUEST_COLUMNS};
    append_values(&request.arena, values, REQUEST_COLUMNS);
    append(&request.index, item, sizeof item);
    request.count = 1;
    writer_finish(&request, ROWS, ROW_STRIDE, &frame_out);
}

static void keep_rejection(const answer *from) {
    lantern_text detail = from->decision.rejection.detail;
    if (!from->decision.rejection.has_detail) detail.ptr = NULL;
    detail = hold_text(detail);
    test.last.rejected = true;
    test.last.rejection = (lantern_rejection){hold_text(from->decision.rejection.code),
                                              hold_text(from->decision.rejection.message), {detail.ptr, detail.len}};
}

void lantern_when_at(lantern_place place, const lantern_command_given *command) {
    begin(place);
    if (!lantern_the_plugin.aggregate) lantern_test_fail(place, "a command is decided by an aggregate, and this plugin is none");
    write_request(command);
    answer *answered = call_plugin(&(call){.what = DECIDE, .frame = frame_out.ptr, .len = frame_out.len});
    if (!went_well(answered)) return;
    if (answered->decision.rejected) {
        keep_rejection(answered);
        return;
    }
    keep_events(answered->decision.events);
    lantern_text id = lantern_str(command->id ? command->id : "id");
    const outcome *last = &test.last;
    for (size_t i = 0; i < last->count; i++)
        push_event(last->events[i].type, last->events[i].payload, (lantern_blob){(const uint8_t *)id.ptr, id.len},
                   &(lantern_event_given){.type = NULL});
    finish_events();
    if (last->count) evolve(last->count);
}

/* ---- Then ------------------------------------------------------------------------------------------------------- */

static bool contains(lantern_text text, const char *words) {
    size_t len = strlen(words);
    for (size_t at = 0; at + len <= text.len; at++)
        if (memcmp(text.ptr + at, words, len) == 0) return true;
    return false;
}

void lantern_then_fails_at(lantern_place place, const char *words) {
    outcome *last = &test.last;
    if (!last->failed) lantern_test_fail(place, "it does not fail, and was expected to with \"%s\"", words);
    if (!contains(last->failure.message, words))
        lantern_test_fail(place, "it fails otherwise\n  - %s\n  + %.*s", words,
                          LANTERN_ARG(last->failure.message));
    last->is_expected = true;
}

const lantern_failure *lantern_failed(void) { return test.last.failed ? &test.last.failure : NULL; }

const lantern_rejection *lantern_rejected(void) { return test.last.rejected ? &test.last.rejection : NULL; }

/* A value as SQL writes it. */
static void write_value(buffer *out, lantern_value value) {
    switch (value.kind) {
    case LANTERN_INT:
        write_int(out, value.integer);
        break;
    case LANTERN_REAL:
        write_real(out, value.real);
        break;
    case LANTERN_TEXT:
        append_byte(out, '\'');
        append(out, value.text, value.len);
        append_byte(out, '\'');
        break;
    case LANTERN_BLOB:
        append_str(out, "x'");
        for (uint32_t i = 0; i < value.len; i++) {
            append_byte(out, "0123456789abcdef"[value.blob[i] >> 4]);
            append_byte(out, "0123456789abcdef"[value.blob[i] & 15]);
        }
        append_byte(out, '\'');
        break;
    default:
        append_str(out, value.kind == LANTERN_NULL ? "NULL" : "an integer that SQLite does not have");
    }
}

static bool same_value(lantern_value a, lantern_value b) {
    if (a.kind != b.kind) return false;
    if (a.kind == LANTERN_INT) return a.integer == b.integer;
    if (a.kind == LANTERN_REAL) return a.real == b.real;
    return a.kind == LANTERN_NULL || (a.len == b.len && (!a.len || memcmp(a.blob, b.blob, a.len) == 0));
}

/* A line of what is other than expected. */
static void why_row(char sign, const lantern_value *values, size_t count) {
    why_text("        %c ", sign);
    for (size_t i = 0; i < count; i++) {
        if (i) append_str(&test.why, ", ");
        write_value(&test.why, values[i]);
    }
    append_byte(&test.why, '\n');
}

static const char *named_query(const char *name) {
    const lantern_query_offered *query = lantern_the_plugin.manifest->queries;
    while (query && query->name && strcmp(query->name, name) != 0) query++;
    return query && query->name ? query->sql : name;
}

lantern_rows lantern_ask_at(lantern_place place, const lantern_value *values, size_t count) {
    static buffer out;
    expect_no_failure();
    if (!count || values[0].kind != LANTERN_TEXT) lantern_test_fail(place, "the query is missing: it comes first");
    answer failed = {.failed = 0};
    known_statement is = {(char *)(uintptr_t)named_query(lantern_format("%.*s", (int)values[0].len, values[0].text).ptr), NULL};
    bool right = open_statement(&is, &failed) && bind(&is, values + 1, (uint32_t)count - 1, &failed, NONE);
    if (right && !read_rows(is.statement, ROWS_MAX, &out)) right = sql_fails(&failed, is.sql, NONE);
    sqlite3_finalize(is.statement);
    if (!right) lantern_test_fail(place, "%.*s", LANTERN_ARG(failed.failure.message));
    frame_layout layout;
    const uint8_t *frame = hold(out.ptr, out.len);
    frame_parse(&layout, frame, out.len, ROWS, ROW_STRIDE);
    return (lantern_rows){NULL, layout.texts_count, layout.count, 0, frame, out.len};
}

void lantern_then_rows_at(lantern_place place, const char *sql, const lantern_test_row *rows, size_t count) {
    lantern_value asked = lantern_value_str(sql);
    lantern_rows found = lantern_ask_at(place, &asked, 1);
    bool same = found.count == count;
    for (size_t i = 0; same && lantern_next_row(&found); i++) {
        same = rows[i].count == found.width;
        for (size_t at = 0; same && at < found.width; at++) same = same_value(rows[i].values[at], found.values[at]);
    }
    if (same) return;
    why_begins(place);
    why_text("`%s` answers other rows\n", sql);
    for (size_t i = 0; i < count; i++) why_row('-', rows[i].values, rows[i].count);
    for (found.next = 0; lantern_next_row(&found);) why_row('+', found.values, found.width);
    end_test();
}

/* Whether two texts are the same JSON, in whatever order its names are, with one kind of number: neither has a member that the
 * other has not. */
static bool same_json(lantern_place place, lantern_text a, lantern_text b) {
    static const char TREE[] = "SELECT fullkey, replace(type, 'real', 'integer'), atom FROM json_tree(";
    lantern_text sql = lantern_format("SELECT NOT EXISTS (%s?1) EXCEPT %s?2)) AND NOT EXISTS (%s?2) EXCEPT %s?1))", TREE, TREE,
                                      TREE, TREE);
    lantern_rows rows = lantern_ask_at(place, LANTERN_VALUES("SELECT json_valid(?1), json_valid(?2)", a, b));
    lantern_next_row(&rows);
    if (!rows.values[0].integer) lantern_test_fail(place, "what is expected is no JSON: %.*s", LANTERN_ARG(a));
    if (!rows.values[1].integer) return false;
    rows = lantern_ask_at(place, LANTERN_VALUES(sql, a, b));
    return lantern_next_row(&rows) && rows.values[0].integer;
}

static lantern_text blob_text(lantern_blob blob) { return (lantern_text){(const char *)blob.ptr, blob.len}; }

/* Whether a payload is what was expected; what is no JSON has to be the same bytes. */
static bool same_data(lantern_place place, const lantern_event_given *expected, lantern_blob found) {
    if (expected->tombstone) return !found.ptr;
    if (expected->payload.ptr)
        return found.ptr && found.len == expected->payload.len && memcmp(found.ptr, expected->payload.ptr, found.len) == 0;
    if (!expected->json || !*expected->json) return true;
    return found.ptr && same_json(place, lantern_str(expected->json), blob_text(found));
}

static void why_event(char sign, lantern_text type, lantern_blob payload) {
    if (!payload.ptr) why_text("        %c %.*s, a tombstone\n", sign, LANTERN_ARG(type));
    else if (is_utf8(payload.ptr, payload.len))
        why_text("        %c %.*s %.*s\n", sign, LANTERN_ARG(type), (int)payload.len, (const char *)payload.ptr);
    else why_text("        %c %.*s, %zu bytes\n", sign, LANTERN_ARG(type), payload.len);
}

static void expect_decided(lantern_place place, const char *expected) {
    const outcome *last = &test.last;
    expect_no_failure();
    if (last->rejected)
        lantern_test_fail(place, "%s expected, and it is rejected: %.*s: %.*s", expected, LANTERN_ARG(last->rejection.code),
                          LANTERN_ARG(last->rejection.message));
}

void lantern_then_events_at(lantern_place place, const lantern_event_given *events, size_t count) {
    expect_decided(place, "events are");
    const outcome *last = &test.last;
    bool same = count == last->count;
    for (size_t i = 0; same && i < count; i++)
        same = lantern_same(lantern_str(events[i].type), last->events[i].type) &&
               same_data(place, &events[i], last->events[i].payload);
    if (same) return;
    why_begins(place);
    why_text("other events happen\n");
    for (size_t i = 0; i < count; i++)
        why_event('-', lantern_str(events[i].type), data_of(events[i].json, events[i].payload, events[i].tombstone));
    for (size_t i = 0; i < last->count; i++) why_event('+', last->events[i].type, last->events[i].payload);
    end_test();
}

void lantern_then_rejected_at(lantern_place place, const char *code) {
    const outcome *last = &test.last;
    expect_no_failure();
    if (!last->rejected) lantern_test_fail(place, "it is not rejected, and was expected to be: %s", code);
    if (!lantern_same(last->rejection.code, lantern_str(code)))
        lantern_test_fail(place, "it is rejected otherwise\n  - %s\n  + %.*s: %.*s", code,
                          LANTERN_ARG(last->rejection.code), LANTERN_ARG(last->rejection.message));
}

void lantern_then_state_at(lantern_place place, const char *json) {
    expect_no_failure();
    lantern_text found = {(const char *)test.state.ptr, test.state.len};
    if (!test.version) lantern_test_fail(place, "the aggregate has no state: nothing has happened to it");
    if (!same_json(place, lantern_str(json), found))
        lantern_test_fail(place, "the state is another\n  - %s\n  + %.*s", json, LANTERN_ARG(found));
}

static bool same_text(const char *expected, lantern_value found) {
    return !expected || (found.kind == LANTERN_TEXT && lantern_same(lantern_str(expected), (lantern_text){found.text, found.len}));
}

void lantern_then_sends_at(lantern_place place, const lantern_sent *messages, size_t count) {
    static const char SENT[] = "SELECT key, aggregate, id, command, due_ms, CAST(payload AS TEXT) FROM _lantern_outbox ORDER BY seq";
    enum { KEY, AGGREGATE, ID, COMMAND, DUE, PAYLOAD, WIDTH };
    lantern_value asked = lantern_value_str(SENT);
    if (!lantern_the_plugin.manifest->sends) lantern_test_fail(place, "it sends nothing: its manifest has no `sends`");
    lantern_rows found = lantern_ask_at(place, &asked, 1);
    bool same = found.count == count;
    for (size_t i = 0; same && lantern_next_row(&found); i++) {
        const lantern_sent *is = &messages[i];
        const lantern_value *row = found.values;
        same = same_text(is->key, row[KEY]) && same_text(is->aggregate, row[AGGREGATE]) && same_text(is->id, row[ID]) &&
               same_text(is->command, row[COMMAND]) &&
               (!is->due_ms.there || (row[DUE].kind == LANTERN_INT && row[DUE].integer == is->due_ms.value)) &&
               (!is->json || same_json(place, lantern_str(is->json), (lantern_text){row[PAYLOAD].text, row[PAYLOAD].len}));
    }
    if (same) return;
    why_begins(place);
    why_text("other commands are sent: key, aggregate, id, command, due_ms, data\n");
    for (size_t i = 0; i < count; i++) {
        const lantern_sent *is = &messages[i];
        lantern_value row[WIDTH] = {lantern_value_str(is->key),     lantern_value_str(is->aggregate),
                                    lantern_value_str(is->id),      lantern_value_str(is->command),
                                    lantern_value_maybe_int(is->due_ms), lantern_value_str(is->json)};
        why_row('-', row, WIDTH);
    }
    for (found.next = 0; lantern_next_row(&found);) why_row('+', found.values, WIDTH);
    end_test();
}

/* ---- The program ------------------------------------------------------------------------------------------------ */

static lantern_test *tests, **tests_end = &tests;

void lantern_test_add(lantern_test *added) {
    *tests_end = added;
    tests_end = &added->next;
}

static bool passes(const lantern_test *is) {
    volatile bool right = false;
    test.last = (outcome){.failed = false};
    test.version = test.offset = 0;
    test.time_ms = FIRST_MS;
    test.why.len = 0;
    if (!sigsetjmp(test.end, 0)) {
        open_database();
        is->run();
        expect_no_failure();
        right = true;
    }
    authority.is_plugin = false;
    close_database();
    spoil();
    while (all_held) {
        held *before = all_held->before;
        free(all_held);
        all_held = before;
    }
    return right;
}

int main(int argc, char **argv) {
    int passed = 0, failed_count = 0;
    for (const lantern_test *is = tests; is; is = is->next) {
        char name[256];
        snprintf(name, sizeof name, "%s", is->name);
        for (char *at = name; *at; at++)
            if (*at == '_') *at = ' ';
        if (argc > 1 && !strstr(name, argv[1]) && !strstr(is->name, argv[1])) continue;
        bool right = passes(is);
        if (right) passed++;
        else failed_count++;
        printf("%s  %s\n", right ? "ok  " : "FAIL", name);
        if (!right) printf("%.*s", (int)test.why.len, (const char *)test.why.ptr);
        fflush(stdout);
    }
    if (failed_count) puts("\n- is what was expected, + is what came");
    printf("%d passed, %d failed\n", passed, failed_count);
    return failed_count || !passed;
}
