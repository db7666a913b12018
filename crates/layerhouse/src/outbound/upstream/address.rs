//! Which addresses an upstream may lead us to: those of the Internet, and those that the operator named
//! (S32). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address that is not one of the public Internet is called; `None` for those that are.
///
/// Registries of IANA: "IPv4 Special-Purpose Address Space", "IPv6 Special-Purpose Address Space". An address
/// of IPv4 within one of IPv6 is what it stands for.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let kind = match address.octets() {
        [0, ..] => "an address of no host",
        [127, ..] => "an address of this machine",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "an address of a private network",
        [169, 254, ..] => "a link-local address",
        [100, 64..=127, ..] => "an address behind a provider's NAT",
        [192, 0, 0, _] | [192, 88, 99, _] => "an address of a protocol",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "an address for documentation",
        [198, 18..=19, ..] => "an address for benchmarks",
        [224..=239, ..] => "a multicast address",
        [240..=255, ..] => "a reserved address",
        _ => return None,
    };
    Some(kind)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        special_v4(Ipv4Addr::new(a, b, c, d))
    };
    let kind = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "an address of no host",
        [0, 0, 0, 0, 0, 0, 0, 1] => "an address of this machine",
        // As IPv4 in sockets of IPv6; and translated by a NAT64.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            return embedded(high, low);
        }
        [0xfc00..=0xfdff, ..] => "an address of a private network",
        [0xfe80..=0xfebf, ..] => "a link-local address",
        [0xff00..=0xffff, ..] => "a multicast address",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "an address for documentation",
        [0x2001, 0..=0x1ff, ..] | [0x2002, ..] => "an address of a protocol",
        [0x2000..=0x3fff, ..] => return None,
        _ => "a reserved address",
    };
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S32
    #[test]
    fn sec_s32_only_addresses_of_the_internet_are_public() {
        let check = |text: &str, expected: Option<&str>| {
            let address = text.parse().expect("an address");
            assert_eq!(special(address), expected, "{text}");
        };
        let (host, own) = ("an address of no host", "an address of this machine");
        let (private, link) = ("an address of a private network", "a link-local address");
        let nat = "an address behind a provider's NAT";
        let (protocol, reserved) = ("an address of a protocol", "a reserved address");
        let (documentation, multicast) = ("an address for documentation", "a multicast address");
        check("0.0.0.0", Some(host));
        check("0.1.2.3", Some(host));
        check("127.0.0.1", Some(own));
        check("127.255.255.255", Some(own));
        check("10.0.0.1", Some(private));
        check("172.15.255.255", None);
        check("172.16.0.0", Some(private));
        check("172.31.255.255", Some(private));
        check("172.32.0.0", None);
        check("192.168.1.1", Some(private));
        check("192.169.0.0", None);
        check("169.254.169.254", Some(link));
        check("100.63.255.255", None);
        check("100.64.0.0", Some(nat));
        check("100.100.100.200", Some(nat));
        check("100.127.255.255", Some(nat));
        check("100.128.0.0", None);
        check("192.0.0.170", Some(protocol));
        check("192.88.99.1", Some(protocol));
        check("192.0.2.1", Some(documentation));
        check("198.51.100.1", Some(documentation));
        check("203.0.113.1", Some(documentation));
        check("198.18.0.1", Some("an address for benchmarks"));
        check("198.19.255.255", Some("an address for benchmarks"));
        check("198.20.0.0", None);
        check("224.0.0.1", Some(multicast));
        check("239.255.255.255", Some(multicast));
        check("240.0.0.1", Some(reserved));
        check("255.255.255.255", Some(reserved));
        check("1.1.1.1", None);
        check("3.5.140.2", None);
        check("::", Some(host));
        check("::1", Some(own));
        check("::ffff:127.0.0.1", Some(own));
        check("::ffff:169.254.169.254", Some(link));
        check("::ffff:1.1.1.1", None);
        check("::127.0.0.1", Some(reserved));
        check("64:ff9b::10.0.0.1", Some(private));
        check("64:ff9b::1.1.1.1", None);
        check("64:ff9b:1::1", Some(reserved));
        check("100::1", Some(reserved));
        check("fc00::1", Some(private));
        check("fd00:ec2::254", Some(private));
        check("fe80::1", Some(link));
        check("fec0::1", Some(reserved));
        check("ff02::1", Some(multicast));
        check("2001::1", Some(protocol));
        check("2001:200::1", None);
        check("2001:db8::1", Some(documentation));
        check("2002:7f00:1::", Some(protocol));
        check("2606:4700:4700::1111", None);
        check("3fff::1", Some(documentation));
        check("3fff:1000::1", None);
        check("4000::1", Some(reserved));
    }
}
