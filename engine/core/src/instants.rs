//! Instants (ms since 1970, UTC) and their days.

use crate::fault::Fault;

/// Milliseconds of a minute.
pub const MINUTE_MS: i64 = 60_000;
/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// The day since 1970 of an instant; negative before 1970.
pub fn day_of(at: i64) -> i64 {
    at.div_euclid(DAY_MS)
}

/// Instants of the years 1 to 9999, which RFC 3339 can write.
const WRITABLE: std::ops::Range<i64> = -62_135_596_800_000..253_402_300_800_000;

/// Year, month and day of a day since 1970.
// Civil from days, Howard Hinnant (https://howardhinnant.github.io/date_algorithms.html).
pub fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// RFC 3339 in UTC with milliseconds, e.g. `2018-01-31T02:30:00.000Z`.
///
/// # Errors
/// The instant lies outside the years 1 to 9999.
pub fn format(at: i64) -> Result<[u8; 24], Fault> {
    if !WRITABLE.contains(&at) {
        return Err(Fault::Unwritable(at));
    }
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut write = |places: std::ops::Range<usize>, mut number: i64| {
        for place in places.rev() {
            text[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    let (year, month, day) = civil(day_of(at));
    let ms = at.rem_euclid(DAY_MS);
    write(0..4, year);
    write(5..7, month);
    write(8..10, day);
    write(11..13, ms / HOUR_MS);
    write(14..16, ms / MINUTE_MS % 60);
    write(17..19, ms / 1000 % 60);
    write(20..23, ms % 1000);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_as_rfc_3339() {
        let known = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_517_365_800_123, "2018-01-31T02:30:00.123Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (WRITABLE.end - 1, "9999-12-31T23:59:59.999Z"),
            (WRITABLE.start, "0001-01-01T00:00:00.000Z"),
        ];
        for (at, text) in known {
            assert_eq!(format(at), Ok(text.as_bytes().try_into().expect("24 bytes")));
        }
        assert_eq!(format(1 << 60), Err(Fault::Unwritable(1 << 60)));
    }
}
