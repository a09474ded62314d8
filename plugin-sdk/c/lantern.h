/* Lantern plugins in C: projections, process managers, command handlers and upcasters.
 *
 *     lantern.h        what a plugin is written with: this file
 *     lantern.c        compiled and linked with it
 *     lantern_test.h   what its native tests are written with; lantern_test.c is compiled with them instead of lantern.c
 *
 * In order: values and texts, errors, JSON, the manifest, events, the database, aggregates, upcasters.
 *
 * Functions that can fail answer false and remember why; a plugin passes the false on (`return false`), and the
 * event fails with that reason. Memory that the SDK hands out lives until the batch ends: there is nothing to free. */
#ifndef LANTERN_H
#define LANTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LANTERN_PRINTF(text, rest) __attribute__((format(printf, text, rest)))
#else
#define LANTERN_PRINTF(text, rest)
#endif

/* ---- Texts, bytes and values ---------------------------------------------------------------------------------- */

/* UTF-8, not ended by a zero byte. Without one (`ptr` is NULL) it is NULL in SQL and null in JSON. */
typedef struct {
    const char *ptr;
    size_t len;
} lantern_text;

/* Bytes. Without any (`ptr` is NULL) they are NULL in SQL; no bytes at a place are an empty blob. */
typedef struct {
    const uint8_t *ptr;
    size_t len;
} lantern_blob;

/* An integer or a real that may be missing: NULL in SQL, null in JSON. */
typedef struct {
    bool there;
    int64_t value;
} lantern_maybe_int;

typedef struct {
    bool there;
    double value;
} lantern_maybe_real;

/* A text for printf: printf("%.*s", LANTERN_ARG(text)). */
#define LANTERN_ARG(text) (int)(text).len, (text).ptr

lantern_text lantern_str(const char *zero_ended);
bool lantern_same(lantern_text a, lantern_text b);
/* Whether a text is the literal: lantern_is(event->kind, "Deposited"). */
#define lantern_is(text, literal) lantern_same((text), (lantern_text){"" literal, sizeof(literal) - 1})

/* Memory that lives until the batch ends. Never NULL: without memory the plugin traps. */
void *lantern_alloc(size_t bytes);
/* A text in such memory, as printf writes it. */
lantern_text lantern_format(const char *format, ...) LANTERN_PRINTF(1, 2);

typedef enum { LANTERN_NULL, LANTERN_INT, LANTERN_REAL, LANTERN_TEXT, LANTERN_BLOB, LANTERN_TOO_LARGE } lantern_kind;

/* One of SQLite's five values. */
typedef struct {
    lantern_kind kind;
    uint32_t len; /* of a text or a blob */
    union {
        int64_t integer;
        double real;
        const char *text;
        const uint8_t *blob;
    };
} lantern_value;

/* The value of a variable, by its type: integers, bool, double, char *, and the types above. NaN becomes NULL. An
 * unsigned integer above INT64_MAX fails the event, since SQLite has no such integer. */
#define LANTERN_VALUE(x)                    \
    _Generic((x),                           \
        _Bool: lantern_value_int,           \
        signed char: lantern_value_int,     \
        unsigned char: lantern_value_int,   \
        short: lantern_value_int,           \
        unsigned short: lantern_value_int,  \
        int: lantern_value_int,             \
        unsigned: lantern_value_int,        \
        long: lantern_value_int,            \
        unsigned long: lantern_value_uint,  \
        long long: lantern_value_int,       \
        unsigned long long: lantern_value_uint, \
        float: lantern_value_real,          \
        double: lantern_value_real,         \
        char *: lantern_value_str,          \
        const char *: lantern_value_str,    \
        lantern_text: lantern_value_text,   \
        lantern_blob: lantern_value_blob,   \
        lantern_maybe_int: lantern_value_maybe_int,   \
        lantern_maybe_real: lantern_value_maybe_real, \
        lantern_value: lantern_value_same)(x)

/* ---- Errors --------------------------------------------------------------------------------------------------- */

typedef enum {
    LANTERN_BAD_INPUT,   /* the event cannot be understood: it is at fault, not the plugin */
    LANTERN_SQL,         /* SQLite refused a statement */
    LANTERN_CONFLICT,    /* a write conflicts with what is stored */
    LANTERN_UNSUPPORTED, /* what was asked for is not offered here */
    LANTERN_OTHER
} lantern_fault;

typedef struct {
    lantern_fault fault;
    lantern_text message;
} lantern_error;

/* Fails with a reason; always false, so that `return lantern_fail(…)` ends the event. */
bool lantern_fail(lantern_fault fault, const char *format, ...) LANTERN_PRINTF(2, 3);
/* What the last function that answered false said. Call it to go on in spite of the error. */
lantern_error lantern_caught(void);
/* A fault as it is written: "bad-input", "sql". */
const char *lantern_fault_name(lantern_fault fault);
/* Ends the instance with a message: for what cannot be if the program is right. abort() and assert() end here, too. */
_Noreturn void lantern_trap(const char *format, ...) LANTERN_PRINTF(1, 2);

typedef enum { LANTERN_ERROR, LANTERN_WARN, LANTERN_INFO, LANTERN_DEBUG, LANTERN_TRACE } lantern_level;
/* Writes to the plugin's log. It never reaches the read model. */
void lantern_log(lantern_level level, const char *format, ...) LANTERN_PRINTF(2, 3);

/* ---- JSON ----------------------------------------------------------------------------------------------------- */

/* A piece of JSON that is well formed, as it stands: a field of this type takes any value. */
typedef struct {
    const char *ptr;
    size_t len;
} lantern_json;

/* How a member of a struct stands in JSON: described once, read and written by it. */
typedef struct {
    const char *name;
    uint32_t name_len;
    uint32_t offset;
    uint8_t type;
    bool optional;
} lantern_field;

/* A member that has to be there. One of a lantern_maybe type may be null or left out. */
#define LANTERN_FIELD(type, member) LANTERN_FIELD_AS(type, member, #member)
/* A member that may be null or left out: it is zero then (a text: without ptr). */
#define LANTERN_OPTIONAL(type, member) \
    {#member, sizeof(#member) - 1, offsetof(type, member), LANTERN_FIELD_TYPE(((type *)0)->member), true}
/* A member that has another name in JSON. */
#define LANTERN_FIELD_AS(type, member, name) \
    {name, sizeof(name) - 1, offsetof(type, member), LANTERN_FIELD_TYPE(((type *)0)->member), false}
/* Ends the list of fields. */
#define LANTERN_END {0}

#define LANTERN_FIELD_TYPE(x)                                                                                     \
    _Generic((x), lantern_text: 1, int64_t: 2, int32_t: 3, double: 4, _Bool: 5, lantern_maybe_int: 6,             \
        lantern_maybe_real: 7, lantern_json: 8)

/* Reads an object. Fields that are not described are passed over; integers are exact, or refused. */
bool lantern_json_read(lantern_json json, const lantern_field *fields, void *into);
bool lantern_json_int(lantern_json json, int64_t *into);
bool lantern_json_real(lantern_json json, double *into);
bool lantern_json_text(lantern_json json, lantern_text *into);
bool lantern_json_is_null(lantern_json json);

/* The items of an array, one by one: while (lantern_next(&items)) … items.item … */
typedef struct {
    lantern_json item;
    const char *rest, *end;
} lantern_items;
bool lantern_json_array(lantern_json json, lantern_items *items);
bool lantern_next(lantern_items *items);

/* Writes an object of all fields that are described. */
lantern_text lantern_json_write(const lantern_field *fields, const void *from);
/* A text as JSON, with its quotes. */
lantern_text lantern_json_quote(lantern_text text);

/* ---- The manifest --------------------------------------------------------------------------------------------- */

typedef enum {
    LANTERN_CLOUD_EVENTS,
    LANTERN_HEADER,     /* the type is in the header `type_at` */
    LANTERN_JSON_FIELD, /* the type is in the field `type_at` of the JSON; dots lead into objects */
    LANTERN_TOPIC       /* every event is of the type `type_at`, or without it of the topic's name */
} lantern_envelope;

typedef struct {
    const char *name, *sql, *description;
} lantern_query_offered;

/* What the plugin is. What is left out has its default. */
typedef struct {
    const char *name;               /* the read model's: lower-case letters, digits, `-` and `_` */
    const char *version;            /* for people */
    const char *description;        /* for people */
    const char *const *topics;      /* LANTERN_LIST("accounts") */
    const char *const *types;       /* read only these; all if left out */
    const char *const *headers;     /* read these headers; none if left out */
    bool all_headers;
    lantern_envelope envelope;      /* where an event's type stands; CloudEvents if left out */
    const char *type_at;
    const char *const *schema;      /* SQL statements, run in order on an empty database */
    uint32_t state_version;         /* raise it when the same events give other rows; 1 if left out */
    const lantern_query_offered *queries; /* LANTERN_QUERIES({"name", "SELECT …", "what it answers"}) */
    const char *const *sends;       /* aggregates that commands are sent to: it is a process manager then */
} lantern_manifest;

#define LANTERN_LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define LANTERN_QUERIES(...) ((const lantern_query_offered[]){__VA_ARGS__, {NULL, NULL, NULL}})

/* ---- Events --------------------------------------------------------------------------------------------------- */

typedef struct {
    lantern_text kind; /* its type, as its envelope has it */
    lantern_text topic;
    int32_t partition;
    uint32_t index; /* its place in the batch, counted from 0 */
    int64_t offset;
    int64_t timestamp_ms; /* Unix milliseconds, -1 if it has none: the only clock there is */
    lantern_blob key;     /* without ptr: it has none */
    lantern_blob payload; /* without ptr: a tombstone */
    const uint8_t *headers;
    uint32_t headers_count;
} lantern_event;

/* Reads the event's JSON. What is wrong is the event's fault, and is said with its coordinates, line and column. */
bool lantern_read(const lantern_event *event, const lantern_field *fields, void *into);
/* The whole of the event's data as text. */
bool lantern_event_text(const lantern_event *event, lantern_text *into);
/* The event's key as text. */
bool lantern_key_text(const lantern_event *event, lantern_text *into);
/* The value of the first header of this name; without ptr where there is none. */
lantern_blob lantern_header(const lantern_event *event, const char *name);
/* Fails with the event's coordinates before the reason: always false. */
bool lantern_bad_input(const lantern_event *event, const char *format, ...) LANTERN_PRINTF(2, 3);

/* ---- The database --------------------------------------------------------------------------------------------- */

/* The read model, within the transaction of a batch. */
typedef struct lantern_db lantern_db;

/* A table that is written row by row: its name, its key columns, and the other columns that are written. Writes to one row
 * are gathered over a batch and reach SQLite once. The key is the primary key or a unique index. */
typedef struct {
    const char *name;
    const char *const *key;
    const char *const *columns;
} lantern_table;

#define LANTERN_TABLE(name, key, columns) {name, key, columns}
#define LANTERN_KEY(...) LANTERN_LIST(__VA_ARGS__)
#define LANTERN_COLUMNS(...) LANTERN_LIST(__VA_ARGS__)
#define LANTERN_NO_COLUMNS ((const char *const[]){NULL})

/* A row that is being written: lantern_row row = lantern_upsert(…); lantern_add(&row, "cents", n); What is wrong with it fails
 * the event. It is meant to be used at once: after a statement or a query it is to be entered anew. */
typedef struct {
    lantern_db *db;
    uint32_t cache, entry, generation;
    bool there, is_update;
} lantern_row;

/* The row of this key, which is made if there is none: lantern_upsert(db, &TABLE, account). A key of several columns has as
 * many values, in their order. Columns that are not written have their default. */
#define lantern_upsert(db, table, ...) lantern_row_enter(db, table, false, LANTERN_VALUES(__VA_ARGS__))
/* The row of this key, if there is one. */
#define lantern_update(db, table, ...) lantern_row_enter(db, table, true, LANTERN_VALUES(__VA_ARGS__))
/* Sets a column. */
#define lantern_set(row, column, value) lantern_row_set(row, column, LANTERN_VALUE(value))
#define lantern_set_null(row, column) lantern_row_set(row, column, (lantern_value){.kind = LANTERN_NULL})
/* Adds to a column of integers (NULL counts as 0), raises it to at least n, lowers it to at most n. */
void lantern_add(lantern_row *row, const char *column, int64_t n);
void lantern_max(lantern_row *row, const char *column, int64_t n);
void lantern_min(lantern_row *row, const char *column, int64_t n);
/* Writes a whole row: the key's values, then those of all columns. */
#define lantern_put(db, table, ...) lantern_row_put(db, table, LANTERN_VALUES(__VA_ARGS__))
#define lantern_delete(db, table, ...) lantern_row_delete(db, table, LANTERN_VALUES(__VA_ARGS__))

/* A row as it is stored, with what this batch wrote to it. */
typedef struct {
    const lantern_table *table;
    const lantern_value *values; /* of all columns, in their order; NULL: there is no row */
} lantern_stored;
#define lantern_get(db, table, into, ...) lantern_row_get(db, table, into, LANTERN_VALUES(__VA_ARGS__))
/* The value of a column of a row that is there. */
lantern_value lantern_column(const lantern_stored *row, const char *column);

/* Any statement that writes, with its parameters: lantern_execute(db, "DELETE FROM stays WHERE day < ?1", day). It runs when the
 * batch ends, or before a query. */
#define lantern_execute(db, ...) lantern_run(db, LANTERN_VALUES(__VA_ARGS__))

/* The rows of a statement that reads, on everything written so far (at most 100,000):
 *     lantern_rows rows;
 *     if (!lantern_query(db, &rows, "SELECT id, n FROM sums WHERE n > ?1", 5)) return false;
 *     while (lantern_next_row(&rows)) … rows.values[0] … */
typedef struct {
    const lantern_value *values; /* of the row that was read last */
    uint32_t width, count, next;
    const uint8_t *frame;
    size_t frame_len;
} lantern_rows;
#define lantern_query(db, into, ...) lantern_select(db, into, LANTERN_VALUES(__VA_ARGS__))
bool lantern_next_row(lantern_rows *rows);

/* A value as a C type; false (and a reason) when it is of another kind. */
bool lantern_as_int(lantern_value value, int64_t *into);
bool lantern_as_text(lantern_value value, lantern_text *into);
bool lantern_as_real(lantern_value value, double *into);

/* A command that a process manager sends. */
typedef struct {
    lantern_text aggregate, id, command;
    lantern_text payload;     /* JSON: lantern_json_write(…); {} if left out */
    lantern_maybe_int due_ms; /* a timeout: sent then or later, unless it is cancelled */
} lantern_message;

/* Sends a command because of an event, once the event is applied. `key` says which command of the process it is
 * (`transfer-7/debit`): it has its effect once. The manifest names the aggregate in `sends`. */
void lantern_send(lantern_db *db, const lantern_event *event, lantern_text key, lantern_message message);
/* Takes a command back that was not sent yet. */
void lantern_cancel(lantern_db *db, lantern_text key);

/* ---- Aggregates ----------------------------------------------------------------------------------------------- */

/* A command, and what it is decided in. */
typedef struct {
    lantern_text name;
    lantern_text aggregate, id;
    int64_t version; /* how many events it has had */
    int64_t time_ms; /* of the decision; what depends on it belongs into the events */
    lantern_text correlation;
    lantern_json data;
} lantern_command;

typedef struct lantern_decision lantern_decision;

/* Reads the command's data. */
bool lantern_command_read(const lantern_command *command, const lantern_field *fields, void *into);
/* The command is not one that there is: always false. */
bool lantern_command_unknown(const lantern_command *command);
/* An event happens. `fields` may be NULL: it has no data. Always true. */
bool lantern_happens(lantern_decision *decision, const char *type, const lantern_field *fields, const void *data);
/* The domain says no: a code for programs, a sentence for people. That is an answer, so it is always true. */
bool lantern_reject(lantern_decision *decision, const char *code, const char *format, ...) LANTERN_PRINTF(3, 4);
/* More about the rejection, for programs. Always true. */
bool lantern_reject_detail(lantern_decision *decision, const lantern_field *fields, const void *detail);

/* ---- Upcasters ------------------------------------------------------------------------------------------------ */

typedef struct lantern_upcasts lantern_upcasts;
/* The event as it is today; one for each event. Without payload it is a tombstone. Always true. */
bool lantern_becomes(lantern_upcasts *upcasts, const char *type, lantern_blob payload);
/* The same, with data that is described. */
bool lantern_becomes_json(lantern_upcasts *upcasts, const char *type, const lantern_field *fields, const void *data);

/* ---- What the plugin is: one of these, once, outside of functions --------------------------------------------- */

typedef bool lantern_apply_fn(const lantern_event *event, lantern_db *db);
typedef bool lantern_decide_fn(const void *state, const lantern_command *command, lantern_decision *decision);
typedef bool lantern_evolve_fn(void *state, const lantern_event *event);
typedef bool lantern_upcast_fn(const lantern_event *event, lantern_upcasts *upcasts);

typedef struct {
    const lantern_field *fields;
    size_t size;
    lantern_decide_fn *decide;
    lantern_evolve_fn *evolve;
} lantern_aggregate;

/* A projection or a process manager: its manifest, and a function that applies one event. */
#define LANTERN_PROJECTION(manifest, apply)                                                        \
    LANTERN_DESCRIBES(manifest)                                                                    \
    LANTERN_NATIVELY(manifest, apply, NULL, NULL)                                                  \
    LANTERN_EXPORT("lantern:plugin/projection@0.1.0#apply")                                        \
    void *lantern_export_apply(uint8_t *frame, size_t len) { return lantern_apply(apply, frame, len); } \
    LANTERN_EXPORT("cabi_post_lantern:plugin/projection@0.1.0#apply")                              \
    void lantern_export_apply_post(void *answer) { lantern_done(answer); }

/* A command handler. Its state is the struct `type`, described by `fields`; all of it is zero before the first event. */
#define LANTERN_AGGREGATE(manifest, type, fields, decide, evolve)                                  \
    LANTERN_DESCRIBES(manifest)                                                                    \
    const lantern_aggregate lantern_the_aggregate = {fields, sizeof(type), decide, evolve};        \
    LANTERN_NATIVELY(manifest, NULL, &lantern_the_aggregate, NULL)                                 \
    LANTERN_EXPORT("lantern:plugin/commands@0.1.0#decide")                                         \
    void *lantern_export_decide(uint8_t *frame, size_t len) {                                      \
        return lantern_decide(&lantern_the_aggregate, frame, len);                                 \
    }                                                                                              \
    LANTERN_EXPORT("cabi_post_lantern:plugin/commands@0.1.0#decide")                               \
    void lantern_export_decide_post(void *answer) { lantern_done(answer); }                        \
    LANTERN_EXPORT("lantern:plugin/commands@0.1.0#evolve")                                         \
    void *lantern_export_evolve(int is, uint8_t *state, size_t state_len, uint8_t *frame, size_t len) { \
        return lantern_evolve(&lantern_the_aggregate, is ? state : NULL, state_len, frame, len);   \
    }                                                                                              \
    LANTERN_EXPORT("cabi_post_lantern:plugin/commands@0.1.0#evolve")                               \
    void lantern_export_evolve_post(void *answer) { lantern_done(answer); }

/* An upcaster: a function that says what one event is today. */
#define LANTERN_UPCASTER(manifest, upcast)                                                         \
    LANTERN_DESCRIBES(manifest)                                                                    \
    LANTERN_NATIVELY(manifest, NULL, NULL, upcast)                                                 \
    LANTERN_EXPORT("lantern:plugin/upcast@0.1.0#upcast")                                           \
    void *lantern_export_upcast(uint8_t *frame, size_t len) { return lantern_upcast(upcast, frame, len); } \
    LANTERN_EXPORT("cabi_post_lantern:plugin/upcast@0.1.0#upcast")                                 \
    void lantern_export_upcast_post(void *answer) { lantern_done(answer); }

/* ---- Behind the macros: not to be used directly --------------------------------------------------------------- */

#ifdef __wasm__
#define LANTERN_EXPORT(name) __attribute__((export_name(name)))
#define LANTERN_NATIVELY(manifest, apply, aggregate, upcast)
#else
#define LANTERN_EXPORT(name)
/* The plugin of a native program, for its tests: lantern_test.h. */
typedef struct {
    const lantern_manifest *manifest;
    lantern_apply_fn *apply;
    const lantern_aggregate *aggregate;
    lantern_upcast_fn *upcast;
} lantern_plugin;
extern const lantern_plugin lantern_the_plugin;
#define LANTERN_NATIVELY(manifest, apply, aggregate, upcast) \
    const lantern_plugin lantern_the_plugin = {&(manifest), apply, aggregate, upcast};
#endif

#define LANTERN_DESCRIBES(manifest)                                                                \
    LANTERN_EXPORT("lantern:plugin/meta@0.1.0#describe")                                           \
    void *lantern_export_describe(void) { return lantern_describe(&(manifest)); }                  \
    LANTERN_EXPORT("cabi_post_lantern:plugin/meta@0.1.0#describe")                                 \
    void lantern_export_describe_post(void *answer) { lantern_done(answer); }

void *lantern_describe(const lantern_manifest *manifest);
void *lantern_apply(lantern_apply_fn *apply, const uint8_t *frame, size_t len);
void *lantern_decide(const lantern_aggregate *aggregate, const uint8_t *frame, size_t len);
void *lantern_evolve(const lantern_aggregate *aggregate, const uint8_t *state, size_t state_len, const uint8_t *frame,
                     size_t len);
void *lantern_upcast(lantern_upcast_fn *upcast, const uint8_t *frame, size_t len);
void lantern_done(void *answer);

static inline lantern_value lantern_value_int(int64_t x) { return (lantern_value){LANTERN_INT, 0, {.integer = x}}; }
static inline lantern_value lantern_value_uint(uint64_t x) {
    return (lantern_value){x > INT64_MAX ? LANTERN_TOO_LARGE : LANTERN_INT, 0, {.integer = (int64_t)x}};
}
static inline lantern_value lantern_value_real(double x) {
    return (lantern_value){x != x ? LANTERN_NULL : LANTERN_REAL, 0, {.real = x}};
}
static inline lantern_value lantern_value_text(lantern_text x) {
    return (lantern_value){x.ptr ? LANTERN_TEXT : LANTERN_NULL, (uint32_t)x.len, {.text = x.ptr}};
}
static inline lantern_value lantern_value_str(const char *x) { return lantern_value_text(lantern_str(x)); }
static inline lantern_value lantern_value_blob(lantern_blob x) {
    return (lantern_value){x.ptr ? LANTERN_BLOB : LANTERN_NULL, (uint32_t)x.len, {.blob = x.ptr}};
}
static inline lantern_value lantern_value_maybe_int(lantern_maybe_int x) {
    return (lantern_value){x.there ? LANTERN_INT : LANTERN_NULL, 0, {.integer = x.value}};
}
static inline lantern_value lantern_value_maybe_real(lantern_maybe_real x) {
    return lantern_value_real(x.there ? x.value : 0.0 / 0.0);
}
static inline lantern_value lantern_value_same(lantern_value x) { return x; }

lantern_row lantern_row_enter(lantern_db *db, const lantern_table *table, bool update, const lantern_value *key,
                               size_t count);
void lantern_row_set(lantern_row *row, const char *column, lantern_value value);
void lantern_row_put(lantern_db *db, const lantern_table *table, const lantern_value *values, size_t count);
void lantern_row_delete(lantern_db *db, const lantern_table *table, const lantern_value *key, size_t count);
bool lantern_row_get(lantern_db *db, const lantern_table *table, lantern_stored *into, const lantern_value *key,
                     size_t count);
bool lantern_run(lantern_db *db, const lantern_value *sql_and_values, size_t count);
bool lantern_select(lantern_db *db, lantern_rows *into, const lantern_value *sql_and_values, size_t count);

/* Up to 20 values as an array, and how many. */
#define LANTERN_VALUES(...) (const lantern_value[]){LANTERN_EACH(__VA_ARGS__)}, LANTERN_COUNT(__VA_ARGS__)
#define LANTERN_PICK(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, n, ...) n
#define LANTERN_COUNT(...) LANTERN_PICK(__VA_ARGS__, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define LANTERN_EACH(...)                                                                                            \
    LANTERN_PICK(__VA_ARGS__, LANTERN_20, LANTERN_19, LANTERN_18, LANTERN_17, LANTERN_16, LANTERN_15, LANTERN_14,    \
                 LANTERN_13, LANTERN_12, LANTERN_11, LANTERN_10, LANTERN_9, LANTERN_8, LANTERN_7, LANTERN_6,         \
                 LANTERN_5, LANTERN_4, LANTERN_3, LANTERN_2, LANTERN_1, 0)(__VA_ARGS__)
#define LANTERN_1(x) LANTERN_VALUE(x)
#define LANTERN_2(x, ...) LANTERN_VALUE(x), LANTERN_1(__VA_ARGS__)
#define LANTERN_3(x, ...) LANTERN_VALUE(x), LANTERN_2(__VA_ARGS__)
#define LANTERN_4(x, ...) LANTERN_VALUE(x), LANTERN_3(__VA_ARGS__)
#define LANTERN_5(x, ...) LANTERN_VALUE(x), LANTERN_4(__VA_ARGS__)
#define LANTERN_6(x, ...) LANTERN_VALUE(x), LANTERN_5(__VA_ARGS__)
#define LANTERN_7(x, ...) LANTERN_VALUE(x), LANTERN_6(__VA_ARGS__)
#define LANTERN_8(x, ...) LANTERN_VALUE(x), LANTERN_7(__VA_ARGS__)
#define LANTERN_9(x, ...) LANTERN_VALUE(x), LANTERN_8(__VA_ARGS__)
#define LANTERN_10(x, ...) LANTERN_VALUE(x), LANTERN_9(__VA_ARGS__)
#define LANTERN_11(x, ...) LANTERN_VALUE(x), LANTERN_10(__VA_ARGS__)
#define LANTERN_12(x, ...) LANTERN_VALUE(x), LANTERN_11(__VA_ARGS__)
#define LANTERN_13(x, ...) LANTERN_VALUE(x), LANTERN_12(__VA_ARGS__)
#define LANTERN_14(x, ...) LANTERN_VALUE(x), LANTERN_13(__VA_ARGS__)
#define LANTERN_15(x, ...) LANTERN_VALUE(x), LANTERN_14(__VA_ARGS__)
#define LANTERN_16(x, ...) LANTERN_VALUE(x), LANTERN_15(__VA_ARGS__)
#define LANTERN_17(x, ...) LANTERN_VALUE(x), LANTERN_16(__VA_ARGS__)
#define LANTERN_18(x, ...) LANTERN_VALUE(x), LANTERN_17(__VA_ARGS__)
#define LANTERN_19(x, ...) LANTERN_VALUE(x), LANTERN_18(__VA_ARGS__)
#define LANTERN_20(x, ...) LANTERN_VALUE(x), LANTERN_19(__VA_ARGS__)

#endif
