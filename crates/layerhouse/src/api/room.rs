//! Places for connections: in all, and for one address, or one network of IPv6.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// Places for connections, in all and from one address.
#[derive(Debug)]
pub(super) struct Room {
    connections_max: usize,
    /// Three quarters: whoever holds all of theirs leaves the others some. No fewer would do, for
    /// behind a proxy all clients have one address.
    from_one_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    from: HashMap<IpAddr, usize>,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    address: Option<IpAddr>,
}

impl Room {
    pub(super) fn new(connections_max: usize) -> Self {
        let from_one_max = (connections_max * 3 / 4).max(1);
        Self {
            connections_max,
            from_one_max,
            taken: Mutex::default(),
        }
    }

    /// A place for a connection from `peer`, or from the Unix socket, whose clients are not told apart.
    pub(super) fn enter(self: &Arc<Self>, peer: Option<SocketAddr>) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if self.connections_max <= taken.all {
            return None;
        }
        let address = peer.map(|peer| network(peer.ip()));
        if let Some(address) = address {
            let from_one = taken.from.get(&address).copied().unwrap_or(0);
            if self.from_one_max <= from_one {
                return None;
            }
            taken.from.insert(address, from_one + 1);
        }
        taken.all += 1;
        Some(Place {
            room: Arc::clone(self),
            address,
        })
    }
}

/// Whose address it is: an IPv6 client has a network of /64, or more, to take addresses from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        address @ IpAddr::V4(_) => address,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self
            .room
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(address) = &self.address else {
            return;
        };
        match taken.from.get_mut(address) {
            Some(count) if 1 < *count => *count -= 1,
            _ => {
                taken.from.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others() {
        let room = Arc::new(Room::new(4));
        let peer = |last| Some(SocketAddr::from(([10, 0, 0, last], 1)));
        let places: Vec<_> = (0..3)
            .map(|_| room.enter(peer(1)).expect("there is room"))
            .collect();
        assert!(room.enter(peer(1)).is_none());
        let other = room.enter(peer(2)).expect("a quarter is left");
        assert!(room.enter(peer(3)).is_none());
        drop(other);
        drop(places);
        assert!(room.enter(peer(3)).is_some());
        assert!(room.taken.lock().expect("no panic").from.is_empty());
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let room = Arc::new(Room::new(4));
        let mut places = Vec::new();
        let mut enter = |address: &str| {
            let address: IpAddr = address.parse().expect("it is an address");
            places.extend(room.enter(Some(SocketAddr::new(address, 1))));
            places.len()
        };
        assert_eq!(enter("2001:db8:0:1::1"), 1);
        assert_eq!(enter("2001:db8:0:1::2"), 2);
        assert_eq!(enter("2001:db8:0:1:ffff:ffff:ffff:ffff"), 3);
        assert_eq!(enter("2001:db8:0:1::3"), 3);
        assert_eq!(enter("2001:db8:0:2::1"), 4);
    }

    #[test]
    fn ipv4_addresses_stay_apart_within_ipv6() {
        let room = Arc::new(Room::new(4));
        let place = |last: u8| {
            let address: IpAddr = format!("::ffff:10.0.0.{last}").parse().expect("an address");
            room.enter(Some(SocketAddr::new(address, 1)))
        };
        let places = [place(1), place(1), place(1)];
        assert!(places.iter().all(Option::is_some));
        assert!(place(1).is_none());
        assert!(place(2).is_some());
    }

    #[test]
    fn a_unix_socket_may_fill_the_room() {
        let room = Arc::new(Room::new(2));
        let places = [room.enter(None), room.enter(None)];
        assert!(places.iter().all(Option::is_some));
        assert!(room.enter(None).is_none());
        drop(places);
        assert!(room.enter(None).is_some());
    }
}
