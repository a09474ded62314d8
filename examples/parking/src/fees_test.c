/* What stays cost. */
#include "parking.h"

#include "lantern_test.h"

LANTERN_TEST(minutes_that_have_begun_are_counted) {
    LANTERN_EXPECT(parking_minutes(0, 60001) == 2);
    LANTERN_EXPECT(parking_minutes(60000, 0) == 0);
}

LANTERN_TEST(a_stay_is_paid_by_half_hours_up_to_a_day) {
    LANTERN_EXPECT(parking_fee_cents(15) == 0);
    LANTERN_EXPECT(parking_fee_cents(16) == 120);
    LANTERN_EXPECT(parking_fee_cents(31) == 240);
    LANTERN_EXPECT(parking_fee_cents(24 * 60 - 1) == 1800);
    LANTERN_EXPECT(parking_fee_cents(24 * 60 + 10) == 1920);
}

LANTERN_TEST(a_day_is_one_of_the_calendar) {
    LANTERN_EXPECT(lantern_is(parking_day(1767225600000), "2026-01-01"));
    LANTERN_EXPECT(lantern_is(parking_day(1767225600000 - 1), "2025-12-31"));
    LANTERN_EXPECT(lantern_is(parking_day(951782400000), "2000-02-29"));
}
