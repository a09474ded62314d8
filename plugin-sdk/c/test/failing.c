/* Tests that fail: what they say is in failing.txt. */
#include "lantern_test.h"

static const lantern_manifest MANIFEST = {
    .name = "balances",
    .topics = LANTERN_LIST("accounts"),
    .sends = LANTERN_LIST("account"),
    .schema = LANTERN_LIST("CREATE TABLE balances (account TEXT PRIMARY KEY, cents)"),
};

static const lantern_table BALANCES = LANTERN_TABLE("balances", LANTERN_KEY("account"), LANTERN_COLUMNS("cents"));

typedef struct {
    lantern_text account;
    int64_t cents;
} moved;

static const lantern_field MOVED[] = {LANTERN_FIELD(moved, account), LANTERN_FIELD(moved, cents), LANTERN_END};

static bool apply(const lantern_event *event, lantern_db *db) {
    moved data;
    if (lantern_is(event->kind, "Trap")) lantern_trap("no way out");
    if (!lantern_read(event, MOVED, &data)) return false;
    lantern_put(db, &BALANCES, data.account, data.cents);
    lantern_send(db, event, data.account, (lantern_message){.aggregate = lantern_str("account"), .id = data.account,
                                                            .command = lantern_str("Greet")});
    return true;
}

LANTERN_PROJECTION(MANIFEST, apply)

LANTERN_TEST(rows_that_are_other_than_expected_are_shown) {
    lantern_given(LANTERN_EVENT("Moved", {"account": "ada", "cents": 500}), LANTERN_EVENT("Moved", {"account": "bob", "cents": 7}));
    lantern_then_rows("SELECT * FROM balances", LANTERN_ROW("ada", 500.0), LANTERN_ROW(LANTERN_BYTES("\xff"), LANTERN_SQL_NULL));
}

LANTERN_TEST(a_failure_that_is_not_expected_is_said_where_it_was_given) {
    lantern_given(LANTERN_EVENT("Moved", {"account": "ada", "cents": 5}), LANTERN_EVENT("Moved", {"account": "ada", "cents": "five"}));
    lantern_then_no_rows("SELECT * FROM balances");
}

LANTERN_TEST(also_at_the_end_of_the_test) { lantern_given(LANTERN_EVENT("Trap")); }

LANTERN_TEST(a_failure_that_does_not_come_is_said) {
    lantern_given(LANTERN_EVENT("Moved", {"account": "ada", "cents": 5}));
    lantern_then_fails("expected an integer");
}

LANTERN_TEST(a_failure_with_other_words_is_shown) {
    lantern_given(LANTERN_EVENT("Moved", {"account": "ada"}));
    lantern_then_fails("expected an integer");
}

LANTERN_TEST(what_is_sent_otherwise_is_shown) {
    lantern_given(LANTERN_EVENT("Moved", {"account": "ada", "cents": 5}));
    lantern_then_sends({.key = "ada", .command = "Greet", .due_ms = {true, 5}});
}

LANTERN_TEST(sql_that_is_wrong_is_said) { lantern_then_no_rows("SELECT * FROM nowhere"); }

LANTERN_TEST(a_condition_is_said) { LANTERN_EXPECT(1 + 1 == 3); }

LANTERN_TEST(the_others_still_pass) { lantern_then_no_rows("SELECT * FROM balances"); }
