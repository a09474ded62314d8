//! Months of Unix times. A projection has no clock and no time zone: all of it is arithmetic.

use std::fmt;

const DAY_MS: i64 = 86_400_000;

/// A month of the Gregorian calendar, in UTC; written `2026-03`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month {
    year: i64,
    month: i64,
}

impl Month {
    /// The month of a time in Unix milliseconds.
    ///
    /// By Howard Hinnant's `civil_from_days`: years start in March, so that the leap day is their last, and the 400
    /// years after which the calendar repeats are one era of 146,097 days.
    pub fn of(unix_ms: i64) -> Self {
        // Days since 1 March of year 0.
        let days = unix_ms.div_euclid(DAY_MS) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let months_since_march = (5 * day_of_year + 2) / 153;
        let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Month { year, month }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::Month;

    /// The read model groups by month, so an off-by-one at a border would move work into another month. The expected
    /// values are `date -u -d @SECONDS +%Y-%m`.
    #[test]
    fn months_are_those_of_the_calendar() {
        let check = |unix_s: i64, expected: &str| {
            assert_eq!(Month::of(unix_s * 1000).to_string(), expected, "{unix_s}");
        };
        check(0, "1970-01");
        check(-1, "1969-12");
        check(951_782_399, "2000-02");
        check(951_782_400, "2000-02"); // 29 February, which most centuries lack
        check(951_868_800, "2000-03");
        check(1_709_251_199, "2024-02");
        check(1_709_251_200, "2024-03");
        check(1_735_689_599, "2024-12");
        check(1_735_689_600, "2025-01");
        check(4_107_542_399, "2100-02"); // its last day is the 28th
        check(4_107_542_400, "2100-03");
    }
}
