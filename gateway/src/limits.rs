//! How often something may be tried: a bucket of tries per key that refills with time. Time comes in as an argument.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Keys that are remembered; the fullest buckets are forgotten first, since they say the least.
const KEYS_MAX: usize = 10_000;

/// Who tries, as limits count it: an IPv4 address, or the /64 of an IPv6 one, which one subscriber has whole
/// (RFC 6177, RIPE-690).
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64)).into(),
        v4 => v4,
    }
}

/// A rule: so many tries at once, then one per interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Tries that cost nothing.
    pub burst: u32,
    /// One more try comes back after this, in milliseconds.
    pub refill_ms: u64,
}

/// What one key has left: the moment at which its bucket is full again, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bucket {
    full_at_ms: u64,
}

impl Rule {
    /// Takes one try. The wait in milliseconds when there is none.
    fn take(self, bucket: Bucket, now_ms: u64) -> Result<Bucket, u64> {
        let full_at_ms = bucket.full_at_ms.max(now_ms) + self.refill_ms;
        let latest = now_ms + u64::from(self.burst) * self.refill_ms;
        if full_at_ms > latest { Err(full_at_ms - latest) } else { Ok(Bucket { full_at_ms }) }
    }
}

/// Buckets of one rule, by key.
#[derive(Debug)]
pub struct Limits<K> {
    rule: Rule,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Eq + Hash + Clone> Limits<K> {
    /// All full.
    pub fn new(rule: Rule) -> Self {
        Self { rule, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one try for `key` at `now_ms` (any clock that does not go back).
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(&self, key: K, now_ms: u64) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.get(&key).copied().unwrap_or_default();
        let next = self.rule.take(bucket, now_ms).map_err(Duration::from_millis)?;
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(&key) {
            make_room(&mut buckets, now_ms);
        }
        buckets.insert(key, next);
        Ok(())
    }

    /// Gives all tries back: it was the right person.
    pub fn clear(&self, key: &K) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Forgets what is full again, and where that is not enough the fuller half: keys of one try each, which a flood
/// consists of, go before those that were tried often. Nobody new is kept out for others' sake.
fn make_room<K: Eq + Hash + Clone>(buckets: &mut HashMap<K, Bucket>, now_ms: u64) {
    buckets.retain(|_, bucket| bucket.full_at_ms > now_ms);
    if buckets.len() < KEYS_MAX {
        return;
    }
    let mut all: Vec<(u64, K)> =
        buckets.iter().map(|(key, bucket)| (bucket.full_at_ms, key.clone())).collect();
    let half = all.len() / 2;
    all.select_nth_unstable_by_key(half, |(full_at_ms, _)| *full_at_ms);
    for (_, key) in &all[..half] {
        buckets.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_tries_come_back_one_by_one() {
        let limits = Limits::new(Rule { burst: 3, refill_ms: 1_000 });
        for _ in 0..3 {
            assert_eq!(limits.take("a", 5_000), Ok(()));
        }
        assert_eq!(limits.take("a", 5_000), Err(Duration::from_secs(1)));
        assert_eq!(limits.take("a", 5_400), Err(Duration::from_millis(600)));
        assert_eq!(limits.take("a", 6_000), Ok(()));
        assert!(limits.take("a", 6_000).is_err());
        assert_eq!(limits.take("b", 6_000), Ok(()));
        limits.clear(&"a");
        assert_eq!(limits.take("a", 6_000), Ok(()));
    }

    #[test]
    fn an_ipv6_subscriber_is_one_and_an_ipv4_address_is_one() {
        let check = |address: &str, expected: &str| {
            assert_eq!(network(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap());
        };
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        check("2001:db8:1:2:ffff::1", "2001:db8:1:2::");
        check("2001:db8:1:3::1", "2001:db8:1:3::");
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
    }

    #[test]
    fn a_flood_of_keys_keeps_nobody_out_and_forgives_nobody_who_tried_often() {
        let limits = Limits::new(Rule { burst: 3, refill_ms: 1_000 });
        for _ in 0..3 {
            assert_eq!(limits.take(usize::MAX, 0), Ok(()));
        }
        for key in 0..3 * KEYS_MAX {
            assert_eq!(limits.take(key, 0), Ok(()), "{key}");
        }
        assert!(limits.take(usize::MAX, 0).is_err());
    }

    #[test]
    fn many_keys_do_not_fill_the_memory() {
        let limits = Limits::new(Rule { burst: 1, refill_ms: 1_000 });
        for key in 0..2 * KEYS_MAX {
            let _ = limits.take(key, 0);
        }
        assert!(limits.buckets.lock().unwrap().len() <= KEYS_MAX);
        assert_eq!(limits.take(3 * KEYS_MAX, 10_000), Ok(()));
    }
}
