/* What a stay costs, and on which day it is earned. */
#include "lantern.h"

/* Minutes that have begun between two times. */
int64_t parking_minutes(int64_t since_ms, int64_t until_ms);
/* The first quarter of an hour is free, every half hour that has begun costs 1.20, a day at most 18.00. */
int64_t parking_fee_cents(int64_t minutes);
/* A time's day, in UTC: 2026-01-31. */
lantern_text parking_day(int64_t time_ms);
