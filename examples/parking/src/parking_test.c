/* What events do to the tables. */
#include "lantern_test.h"

enum { MINUTE_MS = 60000 };

static void open_harbour(void) { lantern_given(LANTERN_EVENT("CarParkOpened", {"park": "harbour", "places": 80})); }

LANTERN_TEST(how_full_it_was_is_remembered_also_within_a_batch) {
    open_harbour();
    lantern_given(LANTERN_EVENT("CarEntered", {"plate": "A 1", "park": "harbour"}),
                  LANTERN_EVENT("CarEntered", {"plate": "B 2", "park": "harbour"}),
                  LANTERN_EVENT("CarLeft", {"plate": "A 1", "park": "harbour"}));
    lantern_then_rows("SELECT cars, fullest FROM car_parks", LANTERN_ROW(1, 2));
    lantern_then_rows("free-places", LANTERN_ROW("harbour", 79));
}

LANTERN_TEST(a_stay_is_earned_on_the_day_on_which_it_ends) {
    open_harbour();
    lantern_given({.type = "CarEntered", .json = LANTERN_JSON({"plate": "A 1", "park": "harbour"}), .time_ms = MINUTE_MS},
                  {.type = "CarLeft", .json = LANTERN_JSON({"plate": "A 1", "park": "harbour"}), .time_ms = 32 * MINUTE_MS});
    lantern_then_rows("SELECT * FROM takings", LANTERN_ROW("harbour", "1970-01-01", 1, 240, 31));
    lantern_then_no_rows("SELECT * FROM parked");
}

LANTERN_TEST(a_car_that_never_came_cannot_leave) {
    open_harbour();
    lantern_given(LANTERN_EVENT("CarLeft", {"plate": "A 1", "park": "harbour"}));
    lantern_then_fails("the car A 1 never came");
}
