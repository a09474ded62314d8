/* Tests that fail: what they say is in failing_decisions.txt. */
#include "lantern_test.h"

static const lantern_manifest MANIFEST = {.name = "account", .topics = LANTERN_LIST("accounts")};

typedef struct {
    int64_t cents;
} account;

static const lantern_field ACCOUNT[] = {LANTERN_FIELD(account, cents), LANTERN_END};

static bool decide(const void *state, const lantern_command *command, lantern_decision *decision) {
    const account *is = state;
    account asked;
    if (!lantern_command_read(command, ACCOUNT, &asked)) return false;
    if (asked.cents > is->cents) return lantern_reject(decision, "overdrawn", "only %lld are there", (long long)is->cents);
    return lantern_happens(decision, "Withdrawn", ACCOUNT, &asked);
}

static bool evolve(void *state, const lantern_event *event) {
    account moved;
    if (!lantern_read(event, ACCOUNT, &moved)) return false;
    ((account *)state)->cents += lantern_is(event->kind, "Deposited") ? moved.cents : -moved.cents;
    return true;
}

LANTERN_AGGREGATE(MANIFEST, account, ACCOUNT, decide, evolve)

LANTERN_TEST(other_events_are_shown) {
    lantern_given(LANTERN_EVENT("Deposited", {"cents": 500}));
    lantern_when("Withdraw", {"cents": 200});
    lantern_then_events(LANTERN_EVENT("Withdrawn", {"cents": 300}));
}

LANTERN_TEST(a_rejection_is_said_where_events_are_expected) {
    lantern_when("Withdraw", {"cents": 200});
    lantern_then_no_events();
}

LANTERN_TEST(a_rejection_that_does_not_come_is_said) {
    lantern_when("Withdraw", {"cents": 0});
    lantern_then_rejected("overdrawn");
}

LANTERN_TEST(another_state_is_shown) {
    lantern_given(LANTERN_EVENT("Deposited", {"cents": 500}));
    lantern_then_state({"cents": 300});
}

LANTERN_TEST(json_that_is_none_is_said) {
    lantern_given(LANTERN_EVENT("Deposited", {"cents": 500}));
    lantern_then_state({"cents": });
}

LANTERN_TEST(a_command_that_fails_is_said) { lantern_when("Withdraw"); }
