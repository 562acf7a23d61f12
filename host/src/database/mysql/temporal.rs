//! Formats dates and times of the binary protocol as the server does. Does not check them: zero dates and days that do
//! not exist are formatted like any other date.

/// Formats a date such as `2024-05-06`. A value without bytes after the length is the zero date.
pub(super) fn date(bytes: &[u8]) -> Option<String> {
    let (year, month, day) = match fields(bytes)? {
        [] => (0, 0, 0),
        [y0, y1, month, day] => (u16::from_le_bytes([*y0, *y1]), *month, *day),
        _ => return None,
    };
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

/// Formats `2024-05-06 07:08:09.100` with the number of decimals of the column. The server leaves out trailing fields
/// that are zero.
pub(super) fn date_time(bytes: &[u8], decimals: Option<usize>) -> Option<String> {
    let fields = fields(bytes)?;
    if !matches!(fields.len(), 0 | 4 | 7 | 11) {
        return None;
    }
    let mut all = [0; 11];
    all[..fields.len()].copy_from_slice(fields);
    let [y0, y1, month, day, hour, minute, second, micros @ ..] = all;
    let year = u16::from_le_bytes([y0, y1]);
    let fraction = fraction(u32::from_le_bytes(micros), decimals)?;
    Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction}"))
}

/// Formats a time such as `-838:59:59.000000`. Hours may exceed a day, and the time may be negative.
pub(super) fn time(bytes: &[u8], decimals: Option<usize>) -> Option<String> {
    let fields = fields(bytes)?;
    if !matches!(fields.len(), 0 | 8 | 12) {
        return None;
    }
    let mut all = [0; 12];
    all[..fields.len()].copy_from_slice(fields);
    let [negative, d0, d1, d2, d3, hour, minute, second, micros @ ..] = all;
    let hours = u64::from(u32::from_le_bytes([d0, d1, d2, d3])) * 24 + u64::from(hour);
    let sign = if negative == 0 { "" } else { "-" };
    let fraction = fraction(u32::from_le_bytes(micros), decimals)?;
    Some(format!("{sign}{hours:02}:{minute:02}:{second:02}{fraction}"))
}

/// Formats a year such as `2024`, or with two digits for a column of that width, which only MariaDB has.
pub(super) fn year(bytes: &[u8], width: Option<u32>) -> Option<String> {
    let year = u16::from_le_bytes(bytes.try_into().ok()?);
    Some(if width == Some(2) { format!("{year:02}") } else { format!("{year:04}") })
}

/// Returns the number of decimals of a column with this display width. `whole` is the width without decimals. A width
/// with decimals includes the point.
pub(super) fn decimals(width: Option<u32>, whole: u32) -> Option<usize> {
    match width?.checked_sub(whole)? {
        0 => Some(0),
        more @ 2..=7 => Some(more as usize - 1),
        _ => None,
    }
}

/// Returns the fields after the byte that contains their length.
fn fields(bytes: &[u8]) -> Option<&[u8]> {
    let (length, fields) = bytes.split_first()?;
    (fields.len() == usize::from(*length)).then_some(fields)
}

/// Formats a fraction such as `.100000`, truncated to the number of decimals of the column. If this number is not
/// known, or if digits other than zero would be lost, writes all six digits, or nothing if all are zero.
fn fraction(micros: u32, decimals: Option<usize>) -> Option<String> {
    if micros > 999_999 {
        return None;
    }
    let digits = format!("{micros:06}");
    Some(match decimals {
        Some(count) if digits.get(count..)?.bytes().all(|digit| digit == b'0') => match count {
            0 => String::new(),
            _ => format!(".{}", digits.get(..count)?),
        },
        _ if micros == 0 => String::new(),
        _ => format!(".{digits}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_the_server_writes_them() {
        assert_eq!(date(&[0]).as_deref(), Some("0000-00-00"));
        assert_eq!(date(&[4, 232, 7, 0, 0]).as_deref(), Some("2024-00-00"));
        assert_eq!(date(&[4, 15, 39, 12, 31]).as_deref(), Some("9999-12-31"));
        assert_eq!(date_time(&[0], Some(0)).as_deref(), Some("0000-00-00 00:00:00"));
        assert_eq!(date_time(&[0], Some(3)).as_deref(), Some("0000-00-00 00:00:00.000"));
        assert_eq!(date_time(&[4, 232, 7, 1, 2], Some(6)).as_deref(), Some("2024-01-02 00:00:00.000000"));
        assert_eq!(date_time(&[7, 232, 7, 1, 2, 3, 4, 5], Some(0)).as_deref(), Some("2024-01-02 03:04:05"));
        let half = [11, 232, 7, 1, 2, 0, 0, 0, 32, 161, 7, 0];
        assert_eq!(date_time(&half, Some(3)).as_deref(), Some("2024-01-02 00:00:00.500"));
        assert_eq!(date_time(&half, None).as_deref(), Some("2024-01-02 00:00:00.500000"));
        assert_eq!(date_time(&half, Some(0)).as_deref(), Some("2024-01-02 00:00:00.500000"), "nothing is lost");
    }

    #[test]
    fn times_go_beyond_a_day_and_below_zero() {
        assert_eq!(time(&[0], Some(0)).as_deref(), Some("00:00:00"));
        assert_eq!(time(&[0], Some(6)).as_deref(), Some("00:00:00.000000"));
        assert_eq!(time(&[8, 1, 34, 0, 0, 0, 22, 59, 59], Some(0)).as_deref(), Some("-838:59:59"));
        assert_eq!(time(&[12, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0], Some(6)).as_deref(), Some("-00:00:01.000001"));
        assert_eq!(time(&[12, 0, 0, 0, 0, 0, 12, 0, 0, 32, 161, 7, 0], Some(1)).as_deref(), Some("12:00:00.5"));
        let far = time(&[12, 1, 255, 255, 255, 255, 255, 255, 255, 63, 66, 15, 0], None);
        assert_eq!(far.as_deref(), Some("-103079215335:255:255.999999"));
    }

    #[test]
    fn years_have_the_width_of_their_column() {
        assert_eq!(year(&[232, 7], Some(4)).as_deref(), Some("2024"));
        assert_eq!(year(&[0, 0], None).as_deref(), Some("0000"));
        assert_eq!(year(&[5, 0], Some(2)).as_deref(), Some("05"));
    }

    #[test]
    fn display_widths_determine_decimals() {
        let of = |width| decimals(Some(width), 19);
        assert_eq!((of(19), of(21), of(26)), (Some(0), Some(1), Some(6)));
        assert_eq!((of(10), of(20), of(27), decimals(None, 19)), (None, None, None, None));
    }
}
