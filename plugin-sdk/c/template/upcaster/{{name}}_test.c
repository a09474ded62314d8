#include "lantern_test.h"

LANTERN_TEST(whole_units_become_cents) {
    lantern_given(LANTERN_EVENT("DepositedV1", {"account": "ada", "amount": 5}));
    lantern_then_events(LANTERN_EVENT("Deposited", {"account": "ada", "cents": 500}));
}
