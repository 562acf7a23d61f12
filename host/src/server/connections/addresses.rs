//! Counts connections or requests for each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::rates::network;

/// Numbers of places that addresses hold. An address without a place has no entry.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// Guard of a place of an address.
#[derive(Debug)]
pub(crate) struct Place {
    all: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    /// Takes a place of an address, or returns `None` if the address holds `limit` places. The addresses of one network of
    /// IPv6 count as one.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, limit: usize) -> Option<Place> {
        let address = network(address);
        let mut all = self.lock();
        let held = all.get(&address).copied().unwrap_or_default();
        if held >= limit {
            return None;
        }
        all.insert(address, held + 1);
        Some(Place { all: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        match all.get_mut(&self.address) {
            Some(held) if *held > 1 => *held -= 1,
            _ => drop(all.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_own_places() -> Result<(), std::net::AddrParseError> {
        let all = Arc::new(Addresses::default());
        let [one, two, six, near, far] = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"];
        let first = all.enter(one.parse()?, 2);
        let second = all.enter(one.parse()?, 2);
        assert!(first.is_some() && second.is_some());
        assert!(all.enter(one.parse()?, 2).is_none());
        let others = [two, six, near, far].map(|address| all.enter(address.parse().ok()?, 2));
        assert!(others.iter().all(Option::is_some));
        assert!(all.enter(near.parse()?, 2).is_none(), "of the same network");
        drop(first);
        let again = all.enter(one.parse()?, 2);
        assert!(again.is_some());
        drop((again, second, others));
        assert!(all.lock().is_empty());
        Ok(())
    }
}
