#include "lantern_test.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

LANTERN_TEST(who_signs_up_gets_a_bonus_and_a_reminder_a_day_later) {
    lantern_given({.type = "SignedUp", .json = LANTERN_JSON({"account": "ada"}), .time_ms = 1000});
    lantern_then_sends({.key = "welcome/ada", .id = "ada", .command = "Deposit", .json = LANTERN_JSON({"cents": 500})},
                       {.key = "remind/ada", .id = "ada", .command = "Remind", .due_ms = {true, 1000 + DAY_MS}});
}

LANTERN_TEST(who_verifies_the_account_is_not_reminded) {
    lantern_given(LANTERN_EVENT("SignedUp", {"account": "ada"}), LANTERN_EVENT("Verified", {"account": "ada"}));
    lantern_then_sends({.key = "welcome/ada"});
    lantern_then_rows("SELECT account, state FROM signups", LANTERN_ROW("ada", "verified"));
}
