/* What stays cost, tested natively:
 *     cc -std=c11 -I.lantern/sdk/c -o /tmp/fees_test src/fees_test.c src/fees.c .lantern/sdk/c/lantern.c && /tmp/fees_test */
#include "parking.h"

#include <assert.h>
#include <stdio.h>

int main(void) {
    assert(parking_minutes(0, 60001) == 2);
    assert(parking_minutes(60000, 0) == 0);
    assert(parking_fee_cents(15) == 0);
    assert(parking_fee_cents(16) == 120);
    assert(parking_fee_cents(31) == 240);
    assert(parking_fee_cents(24 * 60 - 1) == 1800);
    assert(parking_fee_cents(24 * 60 + 10) == 1920);
    assert(lantern_is(parking_day(1767225600000), "2026-01-01"));
    assert(lantern_is(parking_day(1767225600000 - 1), "2025-12-31"));
    assert(lantern_is(parking_day(951782400000), "2000-02-29"));
    puts("fees are right");
    return 0;
}
