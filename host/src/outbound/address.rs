//! Addresses that are reachable from everywhere, by IANA's special-purpose registries (RFC 6890). The remaining addresses
//! belong to this machine or to its network. A guest could use them to reach services behind the firewall.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Special-purpose blocks of IPv4 that are not globally reachable, and multicast.
const BLOCKS: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    ([255, 255, 255, 255], 32),
];

/// Addresses in `BLOCKS` that are globally reachable: anycast of PCP and TURN.
const EXCEPTIONS: [[u8; 4]; 2] = [[192, 0, 0, 9], [192, 0, 0, 10]];

/// Special-purpose blocks inside the global unicast block `2000::/3` that are not globally reachable. `2002::/16` embeds
/// an IPv4 address, and `2001::/32`, in the first block, too.
const BLOCKS_V6: [([u16; 2], u32); 4] =
    [([0x2001, 0], 23), ([0x2001, 0xdb8], 32), ([0x2002, 0], 16), ([0x3fff, 0], 20)];

/// Returns whether an address is reachable from everywhere.
pub(super) fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let is_in = |(block, length): ([u8; 4], u32)| {
        let different = address.to_bits() ^ u32::from_be_bytes(block);
        different.leading_zeros() >= length
    };
    EXCEPTIONS.contains(&address.octets()) || !BLOCKS.into_iter().any(is_in)
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    match segments {
        // IPv4-mapped addresses, and NAT64 with its well-known prefix, lead to the IPv4 address at their end.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            let [.., a, b, c, d] = address.octets();
            is_global_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Anycast of PCP, TURN and DNS-SD, AMT, AS112, ORCHID and drone ids are the reachable parts of `2001::/23`.
        [0x2001, 1, 0, 0, 0, 0, 0, 1..=3] | [0x2001, 3, ..] | [0x2001, 4, 0x112, ..] | [0x2001, 0x20..=0x3f, ..] => {
            true
        }
        [first, second, ..] => {
            let bits = u32::from(first) << 16 | u32::from(second);
            let is_in = |([one, two], length): ([u16; 2], u32)| {
                (bits ^ (u32::from(one) << 16 | u32::from(two))).leading_zeros() >= length
            };
            first >> 13 == 1 && !BLOCKS_V6.into_iter().any(is_in)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_global;

    #[test]
    fn only_addresses_that_are_reachable_from_everywhere_are_global() {
        for (address, expected) in [
            ("1.1.1.1", true),
            ("93.184.216.34", true),
            ("9.255.255.255", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("11.0.0.0", true),
            ("100.63.255.255", true),
            ("100.64.0.1", false),
            ("100.128.0.0", true),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("169.254.169.254", false),
            ("172.15.0.1", true),
            ("172.31.255.255", false),
            ("172.32.0.0", true),
            ("192.0.0.8", false),
            ("192.0.0.9", true),
            ("192.0.2.1", false),
            ("192.88.99.1", false),
            ("192.168.0.1", false),
            ("198.19.255.255", false),
            ("198.51.100.7", false),
            ("203.0.113.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700:4700::1111", true),
            ("2a00:1450:4001:81b::200e", true),
            ("::", false),
            ("::1", false),
            ("::127.0.0.1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("::ffff:1.1.1.1", true),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b::1.1.1.1", true),
            ("64:ff9b:1::1.1.1.1", false),
            ("100::1", false),
            ("2001::1", false),
            ("2001:1::1", true),
            ("2001:1::4", false),
            ("2001:4:112::1", true),
            ("2001:20::1", true),
            ("2001:200::1", true),
            ("2001:db8::1", false),
            ("2002:7f00:1::", false),
            ("3fff::1", false),
            ("3fff:1000::1", true),
            ("5f00::1", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(address.parse().map(is_global), Ok(expected), "{address}");
        }
    }
}
