//! How many events of one principal are written, so that nobody fills the log alone.
//!
//! Each principal has a bucket: [`BURST`] events at once, and one more every [`COST`]. What is held
//! back is counted, and told with the next event of the principal that is written, or when it is
//! asked for. The buckets are bounded, too: the one that was used longest ago goes first, and what it
//! had to tell is told.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use model::names::Principal;
use tokio::time::Instant;

/// How many events are written at once.
const BURST: u32 = 50;
/// How long it takes until another one may be: 10 a second.
const COST: Duration = Duration::from_millis(100);
/// How many principals are told apart.
const MOST_PRINCIPALS: usize = 10_000;

/// The buckets of all principals.
#[derive(Debug, Default)]
pub(super) struct Limits {
    buckets: HashMap<Principal, Bucket>,
    /// The principals by the turn in which their buckets were used last.
    turns: BTreeMap<u64, Principal>,
    turn: u64,
    untold: Vec<HeldBack>,
}

#[derive(Debug)]
struct Bucket {
    /// When there is room for a whole burst again.
    full_at: Instant,
    held_back: u64,
    /// When it was used last.
    turn: u64,
}

/// How many events of a principal were not written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeldBack {
    pub(super) principal: Principal,
    pub(super) events: u64,
}

impl Limits {
    /// Whether an event is written, and how many were held back before it.
    pub(super) fn admit(&mut self, principal: &Principal, now: Instant) -> Option<u64> {
        let bucket = self.bucket(principal, now);
        let full_at = bucket.full_at.max(now) + COST;
        if full_at > now + COST * BURST {
            bucket.held_back += 1;
            return None;
        }
        bucket.full_at = full_at;
        Some(std::mem::take(&mut bucket.held_back))
    }

    /// What was held back and has not been told. Forgets the buckets that are full again.
    pub(super) fn held_back(&mut self, now: Instant) -> Vec<HeldBack> {
        let Self {
            buckets,
            turns,
            turn: _,
            untold,
        } = self;
        for (principal, bucket) in buckets.iter_mut() {
            untold.extend(bucket.held_back(principal));
        }
        buckets.retain(|_, bucket| bucket.full_at > now);
        turns.retain(|_, principal| buckets.contains_key(principal));
        std::mem::take(untold)
    }

    fn bucket(&mut self, principal: &Principal, now: Instant) -> &mut Bucket {
        if !self.buckets.contains_key(principal) && self.buckets.len() >= MOST_PRINCIPALS {
            self.forget_the_oldest();
        }
        self.turn += 1;
        let turn = self.turn;
        self.turns.insert(turn, principal.clone());
        let bucket = self
            .buckets
            .entry(principal.clone())
            .or_insert_with(|| Bucket {
                full_at: now,
                held_back: 0,
                turn,
            });
        if bucket.turn != turn {
            self.turns.remove(&bucket.turn);
            bucket.turn = turn;
        }
        bucket
    }

    fn forget_the_oldest(&mut self) {
        if let Some((_, principal)) = self.turns.pop_first()
            && let Some(mut bucket) = self.buckets.remove(&principal)
        {
            self.untold.extend(bucket.held_back(&principal));
        }
    }
}

impl Bucket {
    /// What there is to tell, which is told then.
    fn held_back(&mut self, principal: &Principal) -> Option<HeldBack> {
        let events = std::mem::take(&mut self.held_back);
        (events > 0).then(|| HeldBack {
            principal: principal.clone(),
            events,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> Principal {
        Principal::user(&format!("u{number}")).unwrap()
    }

    fn told(principal: usize, events: u64) -> HeldBack {
        HeldBack {
            principal: user(principal),
            events,
        }
    }

    #[test]
    fn a_burst_is_written_and_then_ten_a_second() {
        let mut limits = Limits::default();
        let start = Instant::now();
        for _ in 0..50 {
            assert_eq!(limits.admit(&user(1), start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(limits.admit(&user(1), start), None);
        }
        let almost = start + Duration::from_millis(99);
        assert_eq!(limits.admit(&user(1), almost), None);
        let later = start + Duration::from_millis(100);
        assert_eq!(limits.admit(&user(1), later), Some(8));
        assert_eq!(limits.admit(&user(1), later), None);
        let second = later + Duration::from_secs(1);
        let written = (0..20).filter_map(|_| limits.admit(&user(1), second));
        assert_eq!(written.collect::<Vec<_>>(), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let long_after = second + Duration::from_hours(1);
        let written = (0..99).filter_map(|_| limits.admit(&user(1), long_after));
        assert_eq!(written.count(), 50);
    }

    #[test]
    fn one_principal_takes_nothing_from_another() {
        let mut limits = Limits::default();
        let now = Instant::now();
        for _ in 0..1_000 {
            limits.admit(&user(1), now);
        }
        assert_eq!(limits.admit(&user(2), now), Some(0));
        assert_eq!(limits.held_back(now), [told(1, 950)]);
        assert_eq!(limits.held_back(now), []);
    }

    #[test]
    fn what_was_held_back_is_told_once_and_buckets_that_are_full_are_forgotten() {
        let mut limits = Limits::default();
        let start = Instant::now();
        for _ in 0..60 {
            limits.admit(&user(1), start);
        }
        let later = start + Duration::from_secs(5);
        assert_eq!(limits.held_back(later), [told(1, 10)]);
        assert!(limits.buckets.is_empty() && limits.turns.is_empty());
        assert_eq!(limits.admit(&user(1), later), Some(0));
        assert_eq!(limits.held_back(later), []);
        assert_eq!(limits.buckets.len(), 1);
    }

    #[test]
    fn of_too_many_principals_the_one_that_was_seen_longest_ago_goes_and_is_told() {
        let mut limits = Limits::default();
        let now = Instant::now();
        for _ in 0..53 {
            limits.admit(&user(0), now);
            limits.admit(&user(1), now);
        }
        for number in 2..MOST_PRINCIPALS {
            limits.admit(&user(number), now);
        }
        limits.admit(&user(0), now);
        assert_eq!(limits.untold, []);
        limits.admit(&user(MOST_PRINCIPALS), now);
        assert_eq!(limits.untold, [told(1, 3)]);
        assert_eq!(limits.buckets.len(), MOST_PRINCIPALS);
        assert_eq!(limits.turns.len(), MOST_PRINCIPALS);
        assert_eq!(limits.held_back(now), [told(1, 3), told(0, 4)]);
    }
}
