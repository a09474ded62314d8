/* What lantern_test.h does with an aggregate. */
#include "lantern_test.h"

static const lantern_manifest MANIFEST = {.name = "account", .topics = LANTERN_LIST("accounts")};

typedef struct {
    int64_t cents;
    lantern_text owner;
} account;

static const lantern_field ACCOUNT[] = {LANTERN_FIELD(account, cents), LANTERN_OPTIONAL(account, owner), LANTERN_END};

typedef struct {
    int64_t cents;
    lantern_text owner;
} amount;

static const lantern_field AMOUNT[] = {LANTERN_FIELD(amount, cents), LANTERN_OPTIONAL(amount, owner), LANTERN_END};

typedef struct {
    int64_t missing;
} shortage;

static const lantern_field SHORTAGE[] = {LANTERN_FIELD(shortage, missing), LANTERN_END};

typedef struct {
    lantern_text id, correlation;
    int64_t version, time_ms;
} context;

static const lantern_field CONTEXT[] = {LANTERN_FIELD(context, id), LANTERN_FIELD(context, correlation),
                                        LANTERN_FIELD(context, version), LANTERN_FIELD(context, time_ms), LANTERN_END};

static bool decide(const void *state, const lantern_command *command, lantern_decision *decision) {
    const account *is = state;
    amount asked;
    if (lantern_is(command->name, "Trap")) lantern_trap("trapped while deciding");
    if (lantern_is(command->name, "Look")) {
        context seen = {command->id, command->correlation, command->version, command->time_ms};
        return lantern_happens(decision, "Looked", CONTEXT, &seen);
    }
    if (!lantern_is(command->name, "Withdraw")) return lantern_command_unknown(command);
    if (!lantern_command_read(command, AMOUNT, &asked)) return false;
    if (asked.cents == 0) return true;
    if (asked.cents > is->cents) {
        lantern_reject_detail(decision, SHORTAGE, &(shortage){asked.cents - is->cents});
        return lantern_reject(decision, "overdrawn", "there are only %lld cents", (long long)is->cents);
    }
    return lantern_happens(decision, "Withdrawn", AMOUNT, &asked) && lantern_happens(decision, "Noted", NULL, NULL);
}

static bool evolve(void *state, const lantern_event *event) {
    account *is = state;
    amount moved;
    if (lantern_is(event->kind, "Noted") || lantern_is(event->kind, "Looked")) return true;
    if (!lantern_read(event, AMOUNT, &moved)) return false;
    is->cents += lantern_is(event->kind, "Deposited") ? moved.cents : -moved.cents;
    if (moved.owner.ptr) is->owner = moved.owner;
    return true;
}

LANTERN_AGGREGATE(MANIFEST, account, ACCOUNT, decide, evolve)

LANTERN_TEST(a_command_leads_to_events_which_happen) {
    lantern_given(LANTERN_EVENT("Deposited", {"cents": 500, "owner": "Ada"}));
    lantern_then_state({"owner": "Ada", "cents": 500});
    lantern_when("Withdraw", {"cents": 200});
    lantern_then_events(LANTERN_EVENT("Withdrawn", {"owner": null, "cents": 200}), LANTERN_EVENT("Noted", {}));
    lantern_then_state({"cents": 300, "owner": "Ada"});
    lantern_when("Withdraw", {"cents": 300});
    lantern_then_events(LANTERN_EVENT("Withdrawn"), LANTERN_EVENT("Noted"));
    lantern_when("Withdraw", {"cents": 0});
    lantern_then_no_events();
}

LANTERN_TEST(the_domain_says_no_by_a_code_and_a_detail) {
    lantern_when("Withdraw", {"cents": 1});
    lantern_then_rejected("overdrawn");
    LANTERN_EXPECT(lantern_same(lantern_rejected()->message, lantern_str("there are only 0 cents")));
    shortage is;
    LANTERN_EXPECT(lantern_json_read(lantern_rejected()->detail, SHORTAGE, &is) && is.missing == 1);
}

LANTERN_TEST(integers_are_exact_in_states_and_events) {
    lantern_given(LANTERN_EVENT("Deposited", {"cents": 9007199254740993}));
    lantern_then_state({"cents": 9007199254740993, "owner": null});
    lantern_when("Withdraw", {"cents": 9007199254740992});
    lantern_then_events(LANTERN_EVENT("Withdrawn", {"cents": 9007199254740992, "owner": null}), LANTERN_EVENT("Noted"));
}

LANTERN_TEST(a_command_is_decided_with_what_is_said_of_it) {
    lantern_given(LANTERN_EVENT("Deposited", {"cents": 1}));
    lantern_when_command(.name = "Look", .id = "ada", .time_ms = 17, .correlation = "c-1");
    lantern_then_events(LANTERN_EVENT("Looked", {"id": "ada", "correlation": "c-1", "version": 1, "time_ms": 17}));
}

LANTERN_TEST(failures_say_why) {
    lantern_when("Burn");
    lantern_then_fails("account id: the command Burn: there is no such command");
    lantern_when("Withdraw", {"cents": "much"});
    lantern_then_fails("expected an integer at line 1 column 11");
    lantern_given(LANTERN_EVENT("Deposited", {"cents": 1}), LANTERN_EVENT("Deposited", {}));
    lantern_then_fails("missing field `cents`");
    LANTERN_EXPECT(lantern_failed()->index == 1);
    lantern_when("Trap");
    lantern_then_fails("the plugin trapped: trapped while deciding");
}
