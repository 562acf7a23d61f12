//! Formats a `numeric`, whose digits have the base 10000.

use std::fmt::Write;

use super::wire::{Malformed, Wire};

/// Formats a `numeric`. The bytes contain the number of digits, the power of the first digit, the sign, the number of
/// decimals to show, and the digits.
pub(super) fn text(wire: &mut Wire<'_>) -> Result<String, Malformed> {
    let count = wire.u16()?;
    let weight = i32::from(wire.i16()?);
    let sign = wire.u16()?;
    let scale = usize::from(wire.u16()?);
    let digits: Vec<u16> = (0..count).map(|_| wire.u16()).collect::<Result<_, _>>()?;
    let mut text = String::new();
    match sign {
        0x0000 => {}
        0x4000 => text.push('-'),
        0xC000 => return Ok("NaN".to_owned()),
        0xD000 => return Ok("Infinity".to_owned()),
        0xF000 => return Ok("-Infinity".to_owned()),
        _ => return Err(Malformed),
    }
    if scale > 0x3FFF || digits.iter().any(|&digit| digit > 9999) {
        return Err(Malformed);
    }
    // The server does not send zeros at either end.
    let digit = |power: i32| usize::try_from(weight - power).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
    write!(text, "{}", digit(weight.max(0))).unwrap_or_default();
    for power in (0..weight).rev() {
        write!(text, "{:04}", digit(power)).unwrap_or_default();
    }
    if scale > 0 {
        text.push('.');
        let end = text.len() + scale;
        for power in (1..).map(|step: i32| -step) {
            if text.len() >= end {
                break;
            }
            write!(text, "{:04}", digit(power)).unwrap_or_default();
        }
        text.truncate(end);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parts: [u16; 4], digits: &[u16]) -> Result<String, Malformed> {
        let bytes: Vec<u8> = parts.iter().chain(digits).flat_map(|part| part.to_be_bytes()).collect();
        Wire(&bytes).all(text)
    }

    #[test]
    fn numerics_are_written() {
        let weight = |weight: i16| u16::from_be_bytes(weight.to_be_bytes());
        let table = [
            (written([0, 0, 0, 0], &[]), "0"),
            (written([0, 0, 0, 3], &[]), "0.000"),
            (written([1, 0, 0x4000, 0], &[7]), "-7"),
            (written([3, 1, 0, 5], &[12, 3, 4567]), "120003.45670"),
            (written([1, 2, 0, 0], &[1]), "100000000"),
            (written([1, weight(-2), 0, 7], &[1200]), "0.0000120"),
            (written([0, 0, 0xC000, 0], &[]), "NaN"),
            (written([0, 0, 0xF000, 32], &[]), "-Infinity"),
        ];
        for (written, expected) in table {
            assert_eq!(written.as_deref(), Ok(expected));
        }
        assert_eq!(written([1, 0, 0, 0], &[10000]), Err(Malformed));
        assert_eq!(written([1, 0, 1, 0], &[1]), Err(Malformed));
        assert_eq!(written([2, 0, 0, 0], &[1]), Err(Malformed));
    }
}
