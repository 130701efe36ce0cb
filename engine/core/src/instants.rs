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
    let mut write = |places: std::ops::Range<usize>, number: u32| {
        write_number(&mut text[places], number);
    };
    let (year, month, day) = civil(day_of(at));
    let (year, month, day) = (year as u32, month as u32, day as u32);
    let ms = at.rem_euclid(DAY_MS) as u32;
    const HOUR_MS: u32 = self::HOUR_MS as u32;
    const MINUTE_MS: u32 = self::MINUTE_MS as u32;
    write(0..4, year);
    write(5..7, month);
    write(8..10, day);
    write(11..13, ms / HOUR_MS);
    write(14..16, ms / MINUTE_MS % 60);
    write(17..19, ms / 1000 % 60);
    write(20..23, ms % 1000);
    Ok(text)
}

/// Write a number, zeros in front, into all of `places`.
#[inline]
pub(crate) fn write_number(places: &mut [u8], mut number: u32) {
    for place in places.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// An instant as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The instant, cut to the ms.
    pub at: i64,
    /// Whether it is a midnight in its own offset.
    pub is_midnight: bool,
}

/// The instant of a text in the one form of RFC 3339 that senders write most:
/// `2018-01-31T02:30:00.123456+08:00`, at most six digits of a fraction, or `Z`. None for any other.
pub fn parse(text: &str) -> Option<Written> {
    let (date, time) = (text.get(..10)?, text.get(10..)?.as_bytes());
    let [b'T', h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = time else { return None };
    let (hour, minute) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    let second = number(&[*s1, *s2])?;
    let (micros, zone) = fraction(rest)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let minutes = (parse_date(date)? * 24 + hour) * 60 + minute - offset_minutes(zone)?;
    let of_day = (hour, minute, second, micros);
    Some(Written {
        at: minutes * MINUTE_MS + second * 1000 + micros / 1000,
        is_midnight: of_day == (0, 0, 0, 0),
    })
}

/// The day since 1970 of a date, `2018-01-31`.
pub fn parse_date(text: &str) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else { return None };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let (month, day_of_month) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    if year < 1 || !(1..=12).contains(&month) {
        return None;
    }
    let day = day_of_civil(year, month, day_of_month);
    (civil(day) == (year, month, day_of_month)).then_some(day)
}

/// The day since 1970 of a year, month and day.
// Days from civil, Howard Hinnant (https://howardhinnant.github.io/date_algorithms.html).
fn day_of_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// (microseconds, what follows them) of `.123456Z`.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', text @ ..] = text else { return Some((0, text)) };
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=6).contains(&length) {
        return None;
    }
    let micros = number(&text[..length])? * 10_i64.pow(6 - length as u32);
    Some((micros, &text[length..]))
}

/// Minutes by which an offset is ahead of UTC.
fn offset_minutes(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let ahead = hours * 60 + minutes;
            let is_plain = hours <= 23 && minutes <= 59 && (ahead != 0 || *sign == b'+');
            is_plain.then_some(if *sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

/// The number of some digits.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for day in (-719_162..2_932_896).step_by(97) {
            let at = day * DAY_MS + day.rem_euclid(DAY_MS / 7) * 7;
            let text = format(at).expect("it is in range");
            let text = std::str::from_utf8(&text).expect("ASCII");
            assert_eq!(parse(text).map(|written| written.at), Some(at), "{text}");
        }
    }

    #[test]
    fn offsets_and_fractions_are_read() {
        let known = [
            ("2018-01-31T02:30:00.123456+08:00", 1_517_337_000_123),
            ("2018-01-31T02:30:00.1-03:30", 1_517_378_400_100),
            ("2018-01-31T02:30:00Z", 1_517_365_800_000),
            ("1969-12-31T23:59:59.999999Z", -1),
        ];
        for (text, at) in known {
            assert_eq!(parse(text).map(|written| written.at), Some(at), "{text}");
        }
        let is_midnight = |text| parse(text).map(|written| written.is_midnight);
        assert_eq!(is_midnight("2018-01-31T00:00:00.000-03:00"), Some(true));
        assert_eq!(is_midnight("2018-01-31T00:00:00.000001Z"), Some(false));
    }

    #[test]
    fn any_other_form_is_left() {
        let others = [
            "2018-01-31t02:30:00Z",
            "2018-01-31 02:30:00Z",
            "2018-01-31T02:30:00z",
            "2018-01-31T02:30Z",
            "2018-01-31T02:30:00",
            "2018-01-31T02:30:60Z",
            "2018-01-31T24:00:00Z",
            "2018-01-31T02:30:00.Z",
            "2018-01-31T02:30:00.1234567Z",
            "2018-01-31T02:30:00+0800",
            "2018-01-31T02:30:00-00:00",
            "2018-01-31T02:30:00+24:00",
            "2018-02-29T02:30:00Z",
            "2018-00-01T02:30:00Z",
            "0000-01-01T02:30:00Z",
            "2018-1-31T02:30:00Z ",
            "2018-01-3\u{e9}T02:30:00Z",
            "",
        ];
        for text in others {
            assert_eq!(parse(text), None, "{text}");
        }
    }

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
