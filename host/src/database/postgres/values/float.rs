//! Formats floating point numbers inside other values as PostgreSQL does: with the shortest digits that parse back to
//! the same number.

/// Formats a `float8`.
pub(super) fn double(value: f64) -> String {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let parts = match (bits >> 52) & 0x7ff {
        0 => Parts { mantissa: fraction, power: -1074, uneven: false },
        exponent => {
            Parts { mantissa: fraction | 1 << 52, power: exponent as i32 - 1075, uneven: fraction == 0 && exponent > 1 }
        }
    };
    write(value, format!("{:e}", value.abs()), 15, &parts, |digits| digits.parse() == Ok(value.abs()))
}

/// Formats a `float4`.
pub(super) fn single(value: f32) -> String {
    let bits = value.to_bits();
    let fraction = u64::from(bits & ((1 << 23) - 1));
    let parts = match (bits >> 23) & 0xff {
        0 => Parts { mantissa: fraction, power: -149, uneven: false },
        exponent => {
            Parts { mantissa: fraction | 1 << 23, power: exponent as i32 - 150, uneven: fraction == 0 && exponent > 1 }
        }
    };
    // The conversion to `float8` keeps the value of a `float4`. Only the number of digits that distinguish it from its
    // neighbours differs.
    write(value.into(), format!("{:e}", value.abs()), 6, &parts, |digits| digits.parse() == Ok(value.abs()))
}

/// A finite number without its sign: `mantissa * 2^power`.
struct Parts {
    mantissa: u64,
    power: i32,
    /// Whether the next smaller number is half as far away as the next larger number.
    uneven: bool,
}

impl Parts {
    /// Returns whether the decimal number `digits * 10^exponent` lies exactly midway between this number and a
    /// neighbour. It parses to this number if the mantissa is even, but PostgreSQL does not write it.
    fn borders_on(&self, digits: u64, exponent: i32) -> bool {
        let above = (2 * self.mantissa + 1, self.power - 1);
        let below = if self.uneven {
            (4 * self.mantissa - 1, self.power - 2)
        } else {
            ((2 * self.mantissa).saturating_sub(1), self.power - 1)
        };
        [above, below].into_iter().any(|border| same(digits, exponent, border))
    }
}

/// Returns whether `digits * 10^exponent` equals `odd * 2^power`.
fn same(digits: u64, exponent: i32, (odd, power): (u64, i32)) -> bool {
    if digits == 0 || odd == 0 {
        return false;
    }
    let twos = digits.trailing_zeros() as i32 + exponent;
    let digits = u128::from(digits >> digits.trailing_zeros());
    let fives = 5u128.checked_pow(exponent.unsigned_abs());
    let times = |number: u128| fives.and_then(|fives| number.checked_mul(fives));
    // A product that overflows is larger than the other side can be.
    let equal = if exponent >= 0 { times(digits) == Some(odd.into()) } else { times(odd.into()) == Some(digits) };
    equal && twos == power
}

/// Formats a number. `shortest` is Rust's shortest form. PostgreSQL writes the same digits unless they lie midway
/// between two numbers.
fn write(value: f64, shortest: String, plain: i32, parts: &Parts, is_read_back: impl Fn(&str) -> bool) -> String {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return format!("{sign}Infinity");
    }
    if value == 0.0 {
        return format!("{sign}0");
    }
    let value = value.abs();
    let length = split(&shortest).map_or(1, |(digits, _)| digits.len());
    let rounded = |decimals: usize| format!("{value:.decimals$e}");
    // Of two shortest texts that are equally near, Rust chooses the larger one, and PostgreSQL the one with an even
    // last digit. Next to a power of two, the nearest text may not parse back to the same number. 17 digits distinguish
    // any two numbers.
    let candidates = [rounded(length - 1), shortest.clone()].into_iter().chain((length..17).map(rounded));
    for written in candidates {
        let Some((digits, exponent)) = split(&written) else { continue };
        let borders = || digits.parse().is_ok_and(|whole| parts.borders_on(whole, exponent - digits.len() as i32 + 1));
        if is_read_back(&written) && !borders() {
            return format!("{sign}{}", notation(digits.trim_end_matches('0'), exponent, plain));
        }
    }
    format!("{sign}{shortest}")
}

/// Splits `1.25e-7` into its digits, 125, and the power of the first digit, -7.
fn split(written: &str) -> Option<(String, i32)> {
    let (digits, exponent) = written.split_once('e')?;
    Some((digits.replace('.', ""), exponent.parse().ok()?))
}

/// Formats digits with an exponent if the number is very large or very small, otherwise without.
fn notation(digits: &str, exponent: i32, plain: i32) -> String {
    let length = digits.len() as i32;
    match exponent {
        _ if exponent < -4 || exponent >= plain => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{first}{point}{rest}e{sign}{:02}", exponent.abs())
        }
        ..0 => format!("0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1)),
        _ if length <= exponent + 1 => format!("{digits}{}", "0".repeat((exponent + 1 - length) as usize)),
        _ => {
            let (whole, decimals) = digits.split_at(exponent as usize + 1);
            format!("{whole}.{decimals}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written() {
        let table = [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1e+15"),
            // Rust writes 1e23, which lies midway between two numbers.
            (1e23, "9.999999999999999e+22"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, expected) in table {
            assert_eq!(double(value), expected);
        }
        let table =
            [(0.1, "0.1"), (123_456.0, "123456"), (1e6, "1e+06"), (f32::MAX, "3.4028235e+38"), (1e-45, "1e-45")];
        for (value, expected) in table {
            assert_eq!(single(value), expected);
        }
    }
}
