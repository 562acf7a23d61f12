//! Formats network addresses and bit strings.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::wire::{Malformed, Wire};

/// Formats an `inet` or a `cidr`. The bytes contain the family, the length of the mask, whether it is a `cidr`, and the
/// address with its length.
pub(super) fn address(wire: &mut Wire<'_>) -> Result<String, Malformed> {
    let (family, mask, cidr, length) = (wire.byte()?, wire.byte()?, wire.boolean()?, wire.byte()?);
    let (address, longest) = match (family, length) {
        (2, 4) => (Ipv4Addr::from(wire.array::<4>()?).to_string(), 32),
        (3, 16) => (v6(wire.array::<16>()?.into()), 128),
        _ => return Err(Malformed),
    };
    match mask {
        _ if mask > longest => Err(Malformed),
        _ if mask == longest && !cidr => Ok(address),
        _ => Ok(format!("{address}/{mask}")),
    }
}

/// Formats the address as Rust does, with one exception: if its first six groups are zero and the seventh is not,
/// PostgreSQL writes the last two as an IPv4 address.
fn v6(address: Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            format!("::{}", Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => address.to_string(),
    }
}

/// Formats a `macaddr` or a `macaddr8`.
pub(super) fn hardware(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// Formats a `bit` or a `varbit`. The bytes contain the number of bits, and then the bits.
pub(super) fn bits(wire: &mut Wire<'_>) -> Result<String, Malformed> {
    let count = usize::try_from(wire.i32()?).map_err(|_| Malformed)?;
    let bytes = wire.take(count.div_ceil(8))?;
    Ok((0..count).map(|at| if bytes[at / 8] << (at % 8) & 0x80 == 0 { '0' } else { '1' }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written() {
        let table = [
            ([0, 0, 0, 0, 0, 0, 0x0102, 0x0304], "::1.2.3.4"),
            ([0, 0, 0, 0, 0, 0xffff, 0x0102, 0x0304], "::ffff:1.2.3.4"),
            ([0, 0, 0, 0, 0, 0, 0, 2], "::2"),
            ([0, 0, 0, 0, 0, 0, 1, 0], "::0.1.0.0"),
            ([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1], "2001:db8:0:1::1"),
        ];
        for (segments, expected) in table {
            assert_eq!(v6(segments.into()), expected);
        }
    }

    #[test]
    fn bits_are_written() {
        assert_eq!(Wire(&[0, 0, 0, 10, 0b1010_0000, 0b0100_0000]).all(bits).as_deref(), Ok("1010000001"));
        assert_eq!(Wire(&[0, 0, 0, 0]).all(bits).as_deref(), Ok(""));
        assert_eq!(Wire(&[0, 0, 0, 9, 0]).all(bits), Err(Malformed));
    }
}
