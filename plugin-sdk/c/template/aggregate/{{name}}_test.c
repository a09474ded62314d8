#include "lantern_test.h"

LANTERN_TEST(an_account_gives_away_what_it_has) {
    lantern_given(LANTERN_EVENT("Deposited", {"cents": 500}));
    lantern_when("Withdraw", {"cents": 200});
    lantern_then_events(LANTERN_EVENT("Withdrawn", {"cents": 200}));
    lantern_then_state({"cents": 300});
}

LANTERN_TEST(an_account_is_never_overdrawn) {
    lantern_given(LANTERN_EVENT("Deposited", {"cents": 500}), LANTERN_EVENT("Withdrawn", {"cents": 200}));
    lantern_when("Withdraw", {"cents": 301});
    lantern_then_rejected("overdrawn");
}
