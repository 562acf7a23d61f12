//! Formats dates, times and intervals. In binary form, dates are days and timestamps are microseconds since 2000-01-01
//! in the Gregorian calendar.

use std::fmt::Write;

use super::wire::{Malformed, Wire};

const DAY: i64 = 86_400_000_000;
const SECOND: i64 = 1_000_000;

pub(super) fn date(wire: &mut Wire<'_>) -> Result<String, Malformed> {
    Ok(match wire.i32()? {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        days => {
            let (date, era) = day(days.into());
            date + era
        }
    })
}

pub(super) fn time(wire: &mut Wire<'_>) -> Result<String, Malformed> {
    match wire.i64()? {
        // `24:00:00` is a valid time and differs from `00:00:00`.
        time @ 0..=DAY => Ok(clock(time)),
        _ => Err(Malformed),
    }
}

pub(super) fn timetz(wire: &mut Wire<'_>) -> Result<String, Malformed> {
    let mut text = time(wire)?;
    // Offset of the zone, in seconds to the west.
    let west = wire.i32()?;
    let (hours, minutes, seconds) = hms(west.unsigned_abs().into());
    write!(text, "{}{hours:02}", if west > 0 { '-' } else { '+' }).unwrap_or_default();
    if minutes != 0 || seconds != 0 {
        write!(text, ":{minutes:02}").unwrap_or_default();
    }
    if seconds != 0 {
        write!(text, ":{seconds:02}").unwrap_or_default();
    }
    Ok(text)
}

/// Formats a timestamp. `zone` is appended to the time.
pub(super) fn timestamp(wire: &mut Wire<'_>, zone: &str) -> Result<String, Malformed> {
    Ok(match wire.i64()? {
        i64::MAX => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        time => {
            let (date, era) = day(time.div_euclid(DAY));
            format!("{date} {}{zone}{era}", clock(time.rem_euclid(DAY)))
        }
    })
}

/// Formats an interval of microseconds, days and months, each with its own sign. With `infinite`, the largest and the
/// smallest values stand for infinity.
pub(super) fn interval(wire: &mut Wire<'_>, infinite: bool) -> Result<String, Malformed> {
    let (time, days, months) = (wire.i64()?, wire.i32()?, wire.i32()?);
    match (time, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) if infinite => return Ok("infinity".to_owned()),
        (i64::MIN, i32::MIN, i32::MIN) if infinite => return Ok("-infinity".to_owned()),
        _ => {}
    }
    let mut text = String::new();
    let mut after_negative = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        let space = if text.is_empty() { "" } else { " " };
        let plus = if after_negative && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        write!(text, "{space}{plus}{value} {unit}{plural}").unwrap_or_default();
        after_negative = value < 0;
    }
    if text.is_empty() || time != 0 {
        if !text.is_empty() {
            text.push(' ');
        }
        match (time < 0, after_negative) {
            (true, _) => text.push('-'),
            (false, true) => text.push('+'),
            (false, false) => {}
        }
        text.push_str(&clock_of(time.unsigned_abs()));
    }
    Ok(text)
}

/// Converts a number of days since 2000-01-01 to a date, and returns the suffix for years before the year 1.
fn day(days: i64) -> (String, &'static str) {
    // Count days from 0000-03-01, so that a leap day is the last day of its year. An era of 400 years has 146097 days.
    let days = days + 730_425;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    match year {
        1.. => (format!("{year:04}-{month:02}-{day:02}"), ""),
        // There is no year 0.
        _ => (format!("{:04}-{month:02}-{day:02}", 1 - year), " BC"),
    }
}

fn clock(time: i64) -> String {
    clock_of(time.unsigned_abs())
}

/// Formats hours, minutes and seconds, with as many decimals as needed.
fn clock_of(time: u64) -> String {
    let (hours, minutes, seconds) = hms(time / SECOND.unsigned_abs());
    let mut text = format!("{hours:02}:{minutes:02}:{seconds:02}");
    let micros = time % SECOND.unsigned_abs();
    if micros != 0 {
        let decimals = format!(".{micros:06}");
        text.push_str(decimals.trim_end_matches('0'));
    }
    text
}

fn hms(seconds: u64) -> (u64, u64, u64) {
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        let table = [
            (0, "2000-01-01"),
            (59, "2000-02-29"),
            (60, "2000-03-01"),
            (-730_119, "0001-01-01"),
            (-730_120, "0001-12-31 BC"),
            (-730_426, "0001-02-29 BC"),
            (-2_451_545, "4714-11-24 BC"),
            (2_145_031_948, "5874897-12-31"),
            (i32::MAX, "infinity"),
            (i32::MIN, "-infinity"),
        ];
        for (days, expected) in table {
            assert_eq!(Wire(&days.to_be_bytes()).all(date).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn microseconds_are_timestamps() {
        let table = [
            (0, "2000-01-01 00:00:00+00"),
            (-1, "1999-12-31 23:59:59.999999+00"),
            (10, "2000-01-01 00:00:00.00001+00"),
            (-63_082_368_000 * SECOND, "0001-12-31 00:00:00+00 BC"),
            (i64::MAX, "infinity"),
            (i64::MIN, "-infinity"),
        ];
        for (time, expected) in table {
            let written = Wire(&i64::to_be_bytes(time)).all(|wire| timestamp(wire, "+00"));
            assert_eq!(written.as_deref(), Ok(expected));
        }
        assert_eq!(Wire(&DAY.to_be_bytes()).all(time).as_deref(), Ok("24:00:00"));
        assert_eq!(Wire(&(DAY + 1).to_be_bytes()).all(time), Err(Malformed));
    }

    #[test]
    fn intervals_are_written() {
        let table = [
            ((0, 0, 0), "00:00:00"),
            ((-1, 0, 0), "-00:00:00.000001"),
            ((0, 1, 14), "1 year 2 mons 1 day"),
            ((SECOND, 2, -14), "-1 years -2 mons +2 days 00:00:01"),
            ((SECOND, -2, 0), "-2 days +00:00:01"),
            ((i64::MIN, 0, 0), "-2562047788:00:54.775808"),
        ];
        let written = |(time, days, months): (i64, i32, i32), infinite| {
            let bytes = [&i64::to_be_bytes(time)[..], &i32::to_be_bytes(days), &i32::to_be_bytes(months)].concat();
            Wire(&bytes).all(|wire| interval(wire, infinite))
        };
        for (parts, expected) in table {
            assert_eq!(written(parts, true).as_deref(), Ok(expected));
        }
        let (least, most) = ((i64::MIN, i32::MIN, i32::MIN), (i64::MAX, i32::MAX, i32::MAX));
        assert_eq!(written(least, true).as_deref(), Ok("-infinity"));
        assert_eq!(written(most, true).as_deref(), Ok("infinity"));
        let longest = "-178956970 years -8 mons -2147483648 days -2562047788:00:54.775808";
        assert_eq!(written(least, false).as_deref(), Ok(longest));
        let longest = "178956970 years 7 mons 2147483647 days 2562047788:00:54.775807";
        assert_eq!(written(most, false).as_deref(), Ok(longest));
    }
}
