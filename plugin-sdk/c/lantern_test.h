/* Tests of a plugin, natively: given events, when a command, then rows, events, a rejection. No WebAssembly, no host.
 *
 *     #include "lantern_test.h"
 *
 *     LANTERN_TEST(a_balance_is_what_came_in_without_what_went_out) {
 *         lantern_given(LANTERN_EVENT("Deposited", {"account": "ada", "cents": 500}),
 *                       LANTERN_EVENT("Withdrawn", {"account": "ada", "cents": 200}));
 *         lantern_then_rows("SELECT account, cents FROM balances", LANTERN_ROW("ada", 300));
 *     }
 *
 * Compiled with the plugin, with lantern_test.c in the place of lantern.c, and with the system's SQLite:
 *
 *     cc -std=c11 -I.lantern/sdk/c -o .lantern/test *.c .lantern/sdk/c/lantern_test.c -lsqlite3 && .lantern/test
 *
 * Each test begins with an empty database of the manifest's schema, or with an aggregate that has had no event. It ends at the
 * first thing that is not as it should be. Events take the way that they take in the host: as frames, by the types and headers
 * that the manifest reads, in one transaction. What is handed out lives until the next lantern_given or lantern_when. */
#ifndef LANTERN_TEST_H
#define LANTERN_TEST_H

#include "lantern.h"

/* ---- Tests ------------------------------------------------------------------------------------------------------ */

/* A test, named by what it shows. The program runs all of them, or with words behind it those whose names have them. */
#define LANTERN_TEST(name)                                                     \
    static void lantern_case_##name(void);                                     \
    __attribute__((constructor)) static void lantern_register_##name(void) {   \
        static lantern_test is = {#name, lantern_case_##name, NULL};           \
        lantern_test_add(&is);                                                 \
    }                                                                          \
    static void lantern_case_##name(void)

/* Ends the test, as failed, unless the condition is true. */
#define LANTERN_EXPECT(condition) ((condition) ? (void)0 : lantern_test_fail(LANTERN_HERE, "it is not so that %s", #condition))

/* ---- Given ------------------------------------------------------------------------------------------------------ */

/* JSON as it stands in the source: LANTERN_JSON({"account": "ada", "cents": 500}) */
#define LANTERN_JSON(...) #__VA_ARGS__
/* Bytes by a literal: LANTERN_BYTES("\x00\xff") */
#define LANTERN_BYTES(literal) ((lantern_blob){(const uint8_t *)"" literal, sizeof(literal) - 1})

/* Without value it has none. */
typedef struct {
    const char *name, *value;
} lantern_given_header;
#define LANTERN_HEADERS(...) ((const lantern_given_header[]){__VA_ARGS__, {NULL, NULL}})

/* An event. What is left out has its default. */
typedef struct {
    const char *type;
    const char *json;     /* its data; {} if left out */
    lantern_blob payload; /* its data as bytes, instead of json */
    bool tombstone;       /* it has no data */
    const char *key;      /* none if left out */
    lantern_blob key_bytes;
    const lantern_given_header *headers; /* LANTERN_HEADERS({"trace", "t-1"}) */
    const char *topic;    /* the manifest's first */
    int32_t partition;
    int64_t offset;       /* counts up */
    int64_t time_ms;      /* that of the event before; of the first, 2026-01-01T00:00:00Z */
} lantern_event_given;

/* An event of a type and its data: LANTERN_EVENT("Deposited", {"account": "ada", "cents": 500}). One that has more is written
 * as {.type = "Deposited", .json = LANTERN_JSON({…}), .key = "ada"}. */
#define LANTERN_EVENT(kind, ...) {.type = kind, .json = #__VA_ARGS__}

/* Events happen: lantern_given(LANTERN_EVENT(…), LANTERN_EVENT(…)). A projection applies them as one batch, an aggregate
 * goes by them, an upcaster says what they are today. */
#define lantern_given(...) \
    lantern_given_at(LANTERN_HERE, LANTERN_EVENTS(__VA_ARGS__))

/* ---- When ------------------------------------------------------------------------------------------------------- */

/* A command. What is left out has its default. */
typedef struct {
    const char *name;
    const char *json;        /* its data; {} if left out */
    const char *id;          /* which aggregate: "id" */
    int64_t time_ms;         /* of the decision: 2026-01-01T00:00:00Z */
    const char *correlation; /* none */
} lantern_command_given;

/* A command is decided, and what it leads to happens: lantern_when("Withdraw", {"cents": 200}) */
#define lantern_when(command, ...) lantern_when_command(.name = command, .json = #__VA_ARGS__)
/* The same, with more: lantern_when_command(.name = "Withdraw", .json = LANTERN_JSON({…}), .id = "ada") */
#define lantern_when_command(...) lantern_when_at(LANTERN_HERE, &(const lantern_command_given){__VA_ARGS__})

/* ---- Then: of all ----------------------------------------------------------------------------------------------- */

/* What has failed. After it, nothing of the batch or the command is left behind. */
typedef struct {
    lantern_fault fault;
    lantern_text message;
    int64_t index; /* the event at fault, counted from 0 in lantern_given; -1: none is known */
    bool trapped;  /* the plugin was stopped in the middle: lantern_trap, abort, assert, a division by zero */
} lantern_failure;

/* What was given or asked fails, with these words in the message. A failure that is not expected ends the test. */
#define lantern_then_fails(words) lantern_then_fails_at(LANTERN_HERE, words)
/* The failure that was expected last: which event is at fault, and why. */
const lantern_failure *lantern_failed(void);

/* ---- Then: of projections --------------------------------------------------------------------------------------- */

/* A row: LANTERN_ROW("ada", 300, 1.5, LANTERN_BYTES("\xff"), LANTERN_SQL_NULL). Kinds count: 3 is an integer, 3.0 a real. */
#define LANTERN_ROW(...) {LANTERN_VALUES(__VA_ARGS__)}
#define LANTERN_SQL_NULL ((lantern_value){.kind = LANTERN_NULL})

/* A query, or one of the manifest's by its name, answers these rows and no others, in this order. */
#define lantern_then_rows(sql, ...)                                                              \
    lantern_then_rows_at(LANTERN_HERE, sql, (const lantern_test_row[]){__VA_ARGS__},             \
                         sizeof((const lantern_test_row[]){__VA_ARGS__}) / sizeof(lantern_test_row))
#define lantern_then_no_rows(sql) lantern_then_rows_at(LANTERN_HERE, sql, NULL, 0)

/* The rows themselves, with values for the query's parameters in their order:
 *     lantern_rows rows = lantern_ask("SELECT cents FROM balances WHERE account = ?1", "ada");
 *     while (lantern_next_row(&rows)) … rows.values[0] … */
#define lantern_ask(...) lantern_ask_at(LANTERN_HERE, LANTERN_VALUES(__VA_ARGS__))

/* A command that a process manager has sent. What is left out is not looked at. */
typedef struct {
    const char *key, *aggregate, *id, *command;
    const char *json;
    lantern_maybe_int due_ms;
} lantern_sent;

/* These commands wait to be sent, and no others, in this order:
 *     lantern_then_sends({.key = "welcome/ada", .command = "Deposit", .json = LANTERN_JSON({"cents": 500})}); */
#define lantern_then_sends(...)                                                      \
    lantern_then_sends_at(LANTERN_HERE, (const lantern_sent[]){__VA_ARGS__},         \
                          sizeof((const lantern_sent[]){__VA_ARGS__}) / sizeof(lantern_sent))
#define lantern_then_sends_nothing() lantern_then_sends_at(LANTERN_HERE, NULL, 0)

/* ---- Then: of aggregates and upcasters -------------------------------------------------------------------------- */

/* The command leads to these events, or the given events have become these, and no others, in this order. Data is compared as
 * JSON; without any, only the type is looked at. */
#define lantern_then_events(...) \
    lantern_then_events_at(LANTERN_HERE, LANTERN_EVENTS(__VA_ARGS__))
#define lantern_then_no_events() lantern_then_events_at(LANTERN_HERE, NULL, 0)

/* The domain has said no, with this code. */
#define lantern_then_rejected(code) lantern_then_rejected_at(LANTERN_HERE, code)

typedef struct {
    lantern_text code, message;
    lantern_json detail; /* without ptr: none */
} lantern_rejection;
/* What the domain has said to the last command; NULL if it did not say no. */
const lantern_rejection *lantern_rejected(void);

/* The aggregate's state, as JSON: lantern_then_state({"cents": 300}) */
#define lantern_then_state(...) lantern_then_state_at(LANTERN_HERE, #__VA_ARGS__)

/* ---- Behind the macros: not to be used directly ----------------------------------------------------------------- */

typedef struct lantern_test {
    const char *name;
    void (*run)(void);
    struct lantern_test *next;
} lantern_test;

typedef struct {
    const char *file;
    int line;
} lantern_place;

typedef struct {
    const lantern_value *values;
    size_t count;
} lantern_test_row;

#define LANTERN_HERE ((lantern_place){__FILE__, __LINE__})
#define LANTERN_EVENTS(...)                            \
    (const lantern_event_given[]){__VA_ARGS__},        \
        sizeof((const lantern_event_given[]){__VA_ARGS__}) / sizeof(lantern_event_given)

void lantern_test_add(lantern_test *test);
_Noreturn void lantern_test_fail(lantern_place place, const char *format, ...) LANTERN_PRINTF(2, 3);
void lantern_given_at(lantern_place place, const lantern_event_given *events, size_t count);
void lantern_when_at(lantern_place place, const lantern_command_given *command);
void lantern_then_fails_at(lantern_place place, const char *words);
void lantern_then_rows_at(lantern_place place, const char *sql, const lantern_test_row *rows, size_t count);
lantern_rows lantern_ask_at(lantern_place place, const lantern_value *sql_and_values, size_t count);
void lantern_then_sends_at(lantern_place place, const lantern_sent *messages, size_t count);
void lantern_then_events_at(lantern_place place, const lantern_event_given *events, size_t count);
void lantern_then_rejected_at(lantern_place place, const char *code);
void lantern_then_state_at(lantern_place place, const char *json);

#endif
