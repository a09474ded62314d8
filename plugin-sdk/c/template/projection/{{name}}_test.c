#include "lantern_test.h"

LANTERN_TEST(a_balance_is_what_came_in_without_what_went_out) {
    lantern_given(LANTERN_EVENT("Deposited", {"account": "ada", "cents": 500}),
                  LANTERN_EVENT("Deposited", {"account": "grace", "cents": 70}),
                  LANTERN_EVENT("Withdrawn", {"account": "ada", "cents": 200}));
    lantern_then_rows("SELECT account, cents FROM balances ORDER BY account", LANTERN_ROW("ada", 300), LANTERN_ROW("grace", 70));
}

LANTERN_TEST(an_amount_that_is_no_number_is_refused) {
    lantern_given(LANTERN_EVENT("Deposited", {"account": "ada", "cents": "much"}));
    lantern_then_fails("expected an integer");
}
