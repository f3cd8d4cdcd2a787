//! Dates of HTTP.
//! RFC 9110 section 5.6.7: the three forms.
//! Knows no clock: a date becomes a number of seconds. The day of the week is not compared with the date.

/// Returns the seconds from the beginning of 1970 to `date`; `None` if it is not a date, or is before 1970.
///
/// A two-digit year is one from 1970 to 2069, because only a clock could tell what is "more than 50 years in the future".
///
/// ```
/// assert_eq!(sansws_core::http::date::parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
/// ```
pub fn parse(date: &str) -> Option<u64> {
    // 5.6.7: "A recipient that parses a timestamp value in an HTTP field MUST accept all three HTTP-date formats."
    let (day_name, rest) = date.split_once(' ')?;
    if let Some(day_name) = day_name.strip_suffix(',') {
        let (date, time) = rest.strip_suffix(" GMT")?.rsplit_once(' ')?;
        let (mut parts, long) = if date.contains('-') {
            (date.split('-'), true)
        } else {
            (date.split(' '), false)
        };
        let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
        let width = if long { 2 } else { 4 };
        let mut year = digits(year, width)?;
        if long {
            year += if year < 70 { 2000 } else { 1900 };
        }
        let known = DAYS.iter().any(|day| {
            day_name
                == if long {
                    *day
                } else {
                    day.get(..3).unwrap_or_default()
                }
        });
        return if known && parts.next().is_none() {
            seconds(year, month, digits(day, 2)?, time)
        } else {
            None
        };
    }
    // asctime: "Sun Nov  6 08:49:37 1994"
    if !DAYS.iter().any(|day| day.get(..3) == Some(day_name)) {
        return None;
    }
    let (month, rest) = rest.split_once(' ')?;
    let (day, rest) = rest.split_at_checked(2)?;
    let day = match day.strip_prefix(' ') {
        Some(day) => digits(day, 1)?,
        None => digits(day, 2)?,
    };
    let (time, year) = rest.strip_prefix(' ')?.split_once(' ')?;
    seconds(digits(year, 4)?, month, day, time)
}

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn digits(text: &str, width: usize) -> Option<u64> {
    let fine = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
    if fine { text.parse().ok() } else { None }
}

fn seconds(year: u64, month: &str, day: u64, time: &str) -> Option<u64> {
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let mut parts = time.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    // 60 is a leap second.
    let fine = (1..=length).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !fine || parts.next().is_some() || year < 1970 {
        return None;
    }
    // If years start in March, the leap day is last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    let days = before + (month * 153 + 2) / 5 + day - 1;
    days.checked_sub(719_468)
        .map(|days| ((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_and_what_is_none() {
        let cases: &[(&str, Option<u64>)] = &[
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Wed Nov 16 08:49:37 1994", Some(784_975_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Tue, 29 Feb 2000 23:59:60 GMT", Some(951_868_800)),
            ("Thursday, 01-Jan-69 00:00:00 GMT", Some(3_124_224_000)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Mon, 29 Feb 2100 00:00:00 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Son, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 nov 1994 08:49:37 GMT", None),
            ("Sun, 31 Apr 1994 08:49:37 GMT", None),
            ("Sun, 00 Apr 1994 08:49:37 GMT", None),
            ("Sun, +6 Nov 1994 08:49:37 GMT", None),
            ("Sun Nov \u{e4} 08:49:37 1994", None),
            ("1994-11-06T08:49:37Z", None),
            ("", None),
        ];
        for (date, want) in cases {
            assert_eq!(parse(date), *want, "{date}");
        }
    }
}
