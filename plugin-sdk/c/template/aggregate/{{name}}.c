/* An account: it takes money, and gives away what it has. */
#include "lantern.h"

static const lantern_manifest MANIFEST = {
    .name = "{{name}}",
    .version = "0.1.0",
    .topics = LANTERN_LIST("{{name}}-events"),
};

/* What has to be known to decide. It is all zero before the first event. */
typedef struct {
    int64_t cents;
} account;

static const lantern_field ACCOUNT[] = {LANTERN_FIELD(account, cents), LANTERN_END};

/* The data of every command and event. */
typedef struct {
    int64_t cents;
} amount;

static const lantern_field AMOUNT[] = {LANTERN_FIELD(amount, cents), LANTERN_END};

static bool decide(const void *state, const lantern_command *command, lantern_decision *decision) {
    const account *is = state;
    bool deposit = lantern_is(command->name, "Deposit");
    if (!deposit && !lantern_is(command->name, "Withdraw")) return lantern_command_unknown(command);

    amount asked;
    if (!lantern_command_read(command, AMOUNT, &asked)) return false;
    if (asked.cents <= 0)
        return lantern_reject(decision, "no-amount", "%lld cents are no amount", (long long)asked.cents);
    if (!deposit && asked.cents > is->cents)
        return lantern_reject(decision, "overdrawn", "%lld cents are more than the %lld that there are",
                              (long long)asked.cents, (long long)is->cents);
    return lantern_happens(decision, deposit ? "Deposited" : "Withdrawn", AMOUNT, &asked);
}

static bool evolve(void *state, const lantern_event *event) {
    account *is = state;
    amount moved;
    if (!lantern_read(event, AMOUNT, &moved)) return false;
    if (lantern_is(event->kind, "Deposited")) is->cents += moved.cents;
    else if (lantern_is(event->kind, "Withdrawn")) is->cents -= moved.cents;
    else return lantern_bad_input(event, "there is no such event");
    return true;
}

LANTERN_AGGREGATE(MANIFEST, account, ACCOUNT, decide, evolve)
