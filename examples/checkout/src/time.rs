//! Times as the events have them. A calendar as a library would be larger than the rest of the plugin.

/// A time of Unix milliseconds, to the second: `2026-03-01T12:00:00Z`.
pub fn rfc3339(time_ms: i64) -> String {
    let seconds = time_ms.div_euclid(1_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant's days to civil: years begin in March, so that the leap day is their last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    // A day's sales are counted by the first ten characters.
    #[test]
    fn times_are_those_of_the_calendar() {
        let check = |time_ms: i64, expected: &str| assert_eq!(rfc3339(time_ms), expected);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400_000, "2000-02-29T00:00:00Z");
        check(1_767_225_599_999, "2025-12-31T23:59:59Z");
        check(1_767_225_600_000, "2026-01-01T00:00:00Z");
        check(1_772_323_200_000, "2026-03-01T00:00:00Z");
        check(-1, "1969-12-31T23:59:59Z");
    }
}
