//! Rate limits: counts the requests of each client by the generic cell rate algorithm of `governor`.
//!
//! The memory of a limit is bounded: beyond `MAX_CLIENTS` clients, all of them share `SHARED` allowances until
//! `RateLimits::forget` has removed those that are full again.

use std::{
    fmt::Write,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    config::{self, LimitBy},
    routes::{below, decode_unreserved},
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Maximum number of clients that a limit counts separately.
const MAX_CLIENTS: usize = 100_000;
/// Number of allowances that clients share if there are more of them.
const SHARED: u64 = 4096;

/// The rate limits of an application.
#[derive(Debug, Default)]
pub struct RateLimits(Vec<RateLimit>);

#[derive(Debug)]
struct RateLimit {
    config: config::RateLimit,
    /// Prefix of the paths, without a slash at the end.
    prefix: String,
    /// Seed of the hashes, so that clients cannot choose values with the same hash.
    hasher: RandomState,
    clients: Clients,
}

type Clients = RateLimiter<u64, HashMapStateStore<u64>, MonotonicClock, StateInformationMiddleware>;

/// The remaining allowances of a client, for the limits that apply to a request.
#[derive(Debug, Default)]
pub(crate) struct Allowances {
    /// Members of the field `RateLimit`.
    left: String,
    /// Members of the field `RateLimit-Policy`.
    policies: String,
}

/// A request that exceeds a limit.
#[derive(Debug)]
pub(crate) struct Exceeded {
    /// Name of the limit.
    pub(crate) name: String,
    /// Time until the client may send the next request.
    wait: Duration,
    pub(crate) allowances: Allowances,
}

impl Exceeded {
    /// Returns the value of `Retry-After`.
    pub(crate) fn retry_after(&self) -> u64 {
        seconds(self.wait).max(1)
    }
}

/// The parts of a request that identify its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) address: Option<IpAddr>,
    pub(crate) headers: &'a HeaderMap,
    /// Subject of the identity, once hooks may have set it.
    pub(crate) subject: Option<&'a str>,
}

impl RateLimits {
    /// Returns limits that have counted no request yet.
    pub(crate) fn new(config: &[config::RateLimit]) -> Self {
        Self(config.iter().map(RateLimit::new).collect())
    }

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts a request that arrives, by address or header. Returns the remaining allowances.
    ///
    /// # Errors
    ///
    /// Fails at the first limit that the request exceeds.
    pub(crate) fn count(&self, path: &str, client: Client<'_>) -> Result<Allowances, Exceeded> {
        self.count_those(path, client, |by| *by != LimitBy::Identity)
    }

    /// Counts a request after the hooks that may set its identity.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count).
    pub(crate) fn count_identity(&self, path: &str, client: Client<'_>) -> Result<Allowances, Exceeded> {
        self.count_those(path, client, |by| *by == LimitBy::Identity)
    }

    fn count_those(
        &self,
        path: &str,
        client: Client<'_>,
        is_meant: impl Fn(&LimitBy) -> bool,
    ) -> Result<Allowances, Exceeded> {
        let mut allowances = Allowances::default();
        for limit in self.0.iter().filter(|limit| is_meant(&limit.config.by) && below(path, &limit.prefix).is_some()) {
            limit.count(client, &mut allowances).map_err(|wait| Exceeded {
                name: limit.config.name.clone(),
                wait,
                allowances: std::mem::take(&mut allowances),
            })?;
        }
        Ok(allowances)
    }

    /// Removes the clients that have their whole allowance again.
    pub(crate) fn forget(&self) {
        for RateLimit { clients, .. } in &self.0 {
            clients.retain_recent();
            clients.shrink_to_fit();
        }
    }
}

impl RateLimit {
    fn new(config: &config::RateLimit) -> Self {
        let config::RateLimit { path, requests, per, burst, .. } = config;
        // The configuration permits no zero, and rounds no time below a nanosecond.
        let burst = NonZeroU32::new(*burst).unwrap_or(NonZeroU32::MIN);
        let period = (*per / *requests).max(Duration::from_nanos(1));
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(burst)).allow_burst(burst);
        Self {
            prefix: decode_unreserved(path.trim_end_matches('/')).into_owned(),
            hasher: RandomState::new(),
            clients: RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock),
            config: config.clone(),
        }
    }

    /// Counts a request. Returns the time until the next one if it exceeds the limit.
    fn count(&self, client: Client<'_>, allowances: &mut Allowances) -> Result<(), Duration> {
        let config::RateLimit { name, requests, per, burst, .. } = &self.config;
        let counted = self.clients.check_key(&self.key(client));
        let (left, reset, wait) = match counted {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                // The allowance grows by one request in each of these periods.
                (left, *per / *requests * burst.saturating_sub(left), None)
            }
            Err(until) => {
                let wait = until.wait_time_from(MonotonicClock.now());
                (0, wait, Some(wait))
            }
        };
        let separator = if allowances.left.is_empty() { "" } else { ", " };
        // Writing to a `String` does not fail.
        let _ = write!(allowances.left, "{separator}\"{name}\";r={left};t={}", seconds(reset));
        let _ = write!(allowances.policies, "{separator}\"{name}\";q={requests};w={}", seconds(*per));
        wait.map_or(Ok(()), Err)
    }

    /// Returns the key of a client. A client without the property of the limit is known by its address.
    fn key(&self, Client { address, headers, subject }: Client<'_>) -> u64 {
        let own = match &self.config.by {
            LimitBy::Address => None,
            LimitBy::Identity => subject.map(str::as_bytes),
            LimitBy::Header(name) => headers.get(name).map(HeaderValue::as_bytes),
        };
        let key = match own {
            Some(value) => self.hasher.hash_one((1, value)),
            None => self.hasher.hash_one((0, address.map(network))),
        };
        if self.clients.len() < MAX_CLIENTS { key } else { key % SHARED }
    }
}

impl Allowances {
    /// Returns whether no limit applies to the request.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Returns the fields of a response.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let field = |name, value: &str| Some((name, HeaderValue::from_str(value).ok()?));
        [field(RATE_LIMIT, &self.left), field(POLICY, &self.policies)]
            .into_iter()
            .flatten()
            .filter(|_| !self.is_empty())
    }
}

/// Returns the part of an address that stands for a client. A client with IPv6 usually has a network of 64 bits.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

/// Returns a time in whole seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(requests: u32) -> RateLimits {
        let config = config::RateLimit {
            name: "one".to_owned(),
            path: "/".to_owned(),
            by: LimitBy::Address,
            requests,
            per: Duration::from_secs(3600),
            burst: requests,
            line: 1,
        };
        RateLimits::new(&[config])
    }

    #[test]
    fn the_number_of_clients_in_memory_is_bounded() {
        let (limits, headers) = (limits(1), HeaderMap::new());
        let mut refused = 0;
        for number in 0..300_000_u32 {
            let client = Client { address: Some(IpAddr::V4(number.into())), headers: &headers, subject: None };
            refused += usize::from(limits.count("/", client).is_err());
        }
        let held = limits.0[0].clients.len();
        assert!((MAX_CLIENTS..=MAX_CLIENTS + SHARED as usize).contains(&held), "{held}");
        assert!(refused > 150_000, "clients beyond the maximum share allowances: {refused}");
        limits.forget();
        assert_eq!(limits.0[0].clients.len(), held, "no allowance is full again");
    }

    #[test]
    fn clients_with_a_full_allowance_are_forgotten() {
        let (limits, headers) = (limits(1_000_000), HeaderMap::new());
        let client = Client { address: None, headers: &headers, subject: None };
        assert!(limits.count("/", client).is_ok());
        assert_eq!(limits.0[0].clients.len(), 1);
        std::thread::sleep(Duration::from_millis(20));
        limits.forget();
        assert_eq!(limits.0[0].clients.len(), 0);
    }
}
