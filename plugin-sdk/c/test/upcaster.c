/* What lantern_test.h does with an upcaster. */
#include "lantern_test.h"

static const lantern_manifest MANIFEST = {
    .name = "upgrades", .topics = LANTERN_LIST("accounts"), .types = LANTERN_LIST("DepositedV1", "Closed", "Raw")};

typedef struct {
    int64_t amount;
} deposited_v1;

static const lantern_field DEPOSITED_V1[] = {LANTERN_FIELD(deposited_v1, amount), LANTERN_END};

typedef struct {
    int64_t cents;
} deposited;

static const lantern_field DEPOSITED[] = {LANTERN_FIELD(deposited, cents), LANTERN_END};

static bool upcast(const lantern_event *event, lantern_upcasts *upcasts) {
    deposited_v1 old;
    if (lantern_is(event->kind, "Closed")) return lantern_becomes(upcasts, "Ended", (lantern_blob){NULL, 0});
    if (lantern_is(event->kind, "Raw")) return lantern_becomes(upcasts, "Raw", event->payload);
    if (!lantern_read(event, DEPOSITED_V1, &old)) return false;
    return lantern_becomes_json(upcasts, "Deposited", DEPOSITED, &(deposited){old.amount * 100});
}

LANTERN_UPCASTER(MANIFEST, upcast)

LANTERN_TEST(each_event_becomes_what_it_is_today) {
    lantern_given(LANTERN_EVENT("DepositedV1", {"amount": 5}), LANTERN_EVENT("Closed"),
                  {.type = "Raw", .payload = LANTERN_BYTES("\x00\xff")});
    lantern_then_events(LANTERN_EVENT("Deposited", {"cents": 500.0}), {.type = "Ended", .tombstone = true},
                        {.type = "Raw", .payload = LANTERN_BYTES("\x00\xff")});
}

LANTERN_TEST(one_that_cannot_be_upgraded_is_named) {
    lantern_given(LANTERN_EVENT("DepositedV1", {"amount": 5}), LANTERN_EVENT("DepositedV1", {"amount": "five"}));
    lantern_then_fails("accounts/0@1 (DepositedV1): expected an integer");
    LANTERN_EXPECT(lantern_failed()->index == 1);
}
