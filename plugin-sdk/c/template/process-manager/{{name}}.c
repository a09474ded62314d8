/* Welcomes who signs up with some money, and reminds them a day later unless they are verified by then. */
#include "lantern.h"

static const int64_t DAY_MS = 24 * 60 * 60 * 1000;

static const lantern_manifest MANIFEST = {
    .name = "{{name}}",
    .version = "0.1.0",
    .topics = LANTERN_LIST("signups"),
    .types = LANTERN_LIST("SignedUp", "Verified"),
    .sends = LANTERN_LIST("account"),
    .schema = LANTERN_LIST("CREATE TABLE signups (account TEXT PRIMARY KEY, state TEXT NOT NULL)"),
};

static const lantern_table SIGNUPS = LANTERN_TABLE("signups", LANTERN_KEY("account"), LANTERN_COLUMNS("state"));

/* The data of SignedUp and of Verified. */
typedef struct {
    lantern_text account;
} signup;

static const lantern_field SIGNUP[] = {LANTERN_FIELD(signup, account), LANTERN_END};

/* The data of the command Deposit. */
typedef struct {
    int64_t cents;
} deposit;

static const lantern_field DEPOSIT[] = {LANTERN_FIELD(deposit, cents), LANTERN_END};

static void welcome(lantern_db *db, const lantern_event *event, lantern_text account) {
    lantern_message message = {
        .aggregate = lantern_str("account"),
        .id = account,
        .command = lantern_str("Deposit"),
        .payload = lantern_json_write(DEPOSIT, &(deposit){.cents = 500}),
    };
    lantern_send(db, event, lantern_format("welcome/%.*s", LANTERN_ARG(account)), message);
}

static void remind(lantern_db *db, const lantern_event *event, lantern_text account, lantern_text key) {
    lantern_message message = {
        .aggregate = lantern_str("account"),
        .id = account,
        .command = lantern_str("Remind"),
        .due_ms = {true, event->timestamp_ms + DAY_MS},
    };
    lantern_send(db, event, key, message);
}

static bool apply(const lantern_event *event, lantern_db *db) {
    signup data;
    if (!lantern_read(event, SIGNUP, &data)) return false;
    lantern_text reminder = lantern_format("remind/%.*s", LANTERN_ARG(data.account));
    if (lantern_is(event->kind, "SignedUp")) {
        welcome(db, event, data.account);
        remind(db, event, data.account, reminder);
        lantern_put(db, &SIGNUPS, data.account, "waiting");
    } else {
        lantern_cancel(db, reminder);
        lantern_put(db, &SIGNUPS, data.account, "verified");
    }
    return true;
}

LANTERN_PROJECTION(MANIFEST, apply)
