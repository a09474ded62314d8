//! Times as text, in UTC.

const DAY_MS: i64 = 86_400_000;

/// Year, month, day, and milliseconds of the day.
fn civil(ms: i64) -> (i64, i64, i64, i64) {
    // Days from 0000-03-01, in eras of 400 years: Howard Hinnant's `civil_from_days`.
    let day = ms.div_euclid(DAY_MS) + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1, ms.rem_euclid(DAY_MS))
}

/// `2026-03`.
pub fn month(ms: i64) -> String {
    let (year, month, ..) = civil(ms);
    format!("{year:04}-{month:02}")
}

/// `2026-03-01`.
pub fn day(ms: i64) -> String {
    let (year, month, day, _) = civil(ms);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-03-01T12:00Z`, with the minutes as they are or, of an hour, none.
pub fn minute(ms: i64, is_whole_hour: bool) -> String {
    let minutes = ms.rem_euclid(DAY_MS) / 60_000;
    let minute = if is_whole_hour { 0 } else { minutes % 60 };
    format!("{}T{:02}:{minute:02}Z", day(ms), minutes / 60)
}

/// `2026-03-01T12:00:00.123Z`.
pub fn instant(ms: i64) -> String {
    let rest = ms.rem_euclid(DAY_MS);
    let (hour, minute, second, milli) =
        (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60, rest % 1_000);
    format!("{}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", day(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    // A day that is one off is found when the books are closed.
    #[test]
    fn times_are_those_of_the_calendar() {
        let check = |ms, expected: &str| assert_eq!(instant(ms), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_772_366_400_123, "2026-03-01T12:00:00.123Z");
        check(4_107_542_399_999, "2100-02-28T23:59:59.999Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
        assert_eq!((month(0), minute(5_400_000, false)), ("1970-01".into(), "1970-01-01T01:30Z".into()));
        assert_eq!(minute(5_400_000, true), "1970-01-01T01:00Z");
    }
}
