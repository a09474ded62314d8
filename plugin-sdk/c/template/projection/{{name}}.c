/* The balance of every account. */
#include "lantern.h"

static const lantern_manifest MANIFEST = {
    .name = "{{name}}",
    .version = "0.1.0",
    .topics = LANTERN_LIST("accounts"),
    .types = LANTERN_LIST("Deposited", "Withdrawn"),
    .schema = LANTERN_LIST("CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL)"),
};

static const lantern_table BALANCES = LANTERN_TABLE("balances", LANTERN_KEY("account"), LANTERN_COLUMNS("cents"));

/* The data of Deposited and of Withdrawn. */
typedef struct {
    lantern_text account;
    int64_t cents;
} moved;

static const lantern_field MOVED[] = {
    LANTERN_FIELD(moved, account),
    LANTERN_FIELD(moved, cents),
    LANTERN_END,
};

static bool apply(const lantern_event *event, lantern_db *db) {
    moved data;
    if (!lantern_read(event, MOVED, &data)) return false;
    lantern_row balance = lantern_upsert(db, &BALANCES, data.account);
    lantern_add(&balance, "cents", lantern_is(event->kind, "Deposited") ? data.cents : -data.cents);
    return true;
}

LANTERN_PROJECTION(MANIFEST, apply)
