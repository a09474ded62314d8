#include "parking.h"

enum { FREE_MINUTES = 15, STEP_MINUTES = 30, STEP_CENTS = 120, DAY_CENTS = 1800, DAY_MINUTES = 24 * 60 };

int64_t parking_minutes(int64_t since_ms, int64_t until_ms) {
    return until_ms > since_ms ? (until_ms - since_ms + 59999) / 60000 : 0;
}

static int64_t within_a_day(int64_t minutes) {
    int64_t cents = (minutes + STEP_MINUTES - 1) / STEP_MINUTES * STEP_CENTS;
    return cents < DAY_CENTS ? cents : DAY_CENTS;
}

int64_t parking_fee_cents(int64_t minutes) {
    if (minutes <= FREE_MINUTES) return 0;
    return minutes / DAY_MINUTES * DAY_CENTS + within_a_day(minutes % DAY_MINUTES);
}

/* Days since 1970 as a date of the Gregorian calendar, in years that begin in March. */
lantern_text parking_day(int64_t time_ms) {
    int64_t days = time_ms / 86400000 - (time_ms % 86400000 < 0) + 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int day_of_era = (int)(days - era * 146097);
    int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int march_month = (5 * day_of_year + 2) / 153;
    int day = day_of_year - (153 * march_month + 2) / 5 + 1;
    int month = march_month < 10 ? march_month + 3 : march_month - 9;
    return lantern_format("%04d-%02d-%02d", (int)(year_of_era + era * 400) + (month <= 2), month, day);
}
