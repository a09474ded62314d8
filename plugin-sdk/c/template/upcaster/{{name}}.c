/* Deposits were once in whole units; today they are in cents. */
#include "lantern.h"

static const lantern_manifest MANIFEST = {
    .name = "{{name}}",
    .version = "0.1.0",
    .topics = LANTERN_LIST("accounts"),
    .types = LANTERN_LIST("DepositedV1"),
};

typedef struct {
    lantern_text account;
    int64_t amount;
} deposited_v1;

static const lantern_field DEPOSITED_V1[] = {
    LANTERN_FIELD(deposited_v1, account),
    LANTERN_FIELD(deposited_v1, amount),
    LANTERN_END,
};

typedef struct {
    lantern_text account;
    int64_t cents;
} deposited;

static const lantern_field DEPOSITED[] = {
    LANTERN_FIELD(deposited, account),
    LANTERN_FIELD(deposited, cents),
    LANTERN_END,
};

static bool upcast(const lantern_event *event, lantern_upcasts *upcasts) {
    deposited_v1 old;
    if (!lantern_read(event, DEPOSITED_V1, &old)) return false;
    deposited now = {.account = old.account};
    if (__builtin_mul_overflow(old.amount, 100, &now.cents)) return lantern_bad_input(event, "the amount is too large");
    return lantern_becomes_json(upcasts, "Deposited", DEPOSITED, &now);
}

LANTERN_UPCASTER(MANIFEST, upcast)
