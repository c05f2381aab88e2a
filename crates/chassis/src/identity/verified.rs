//! The tokens that were verified a moment ago.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::caller::Caller;

/// How long a verified token is believed without another look.
const KEPT: TimeDelta = TimeDelta::seconds(60);

/// Bounds of a generation. Two are kept, so that there are at most 10,000 entries, and at most 8 MiB
/// of tokens where they are long.
const MAX_ENTRIES: usize = 5_000;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The SHA-256 of a token. Looking it up takes no time that depends on any token.
pub(super) type TokenDigest = [u8; 32];

pub(super) fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token).into()
}

/// Callers by the digest of their token.
///
/// Entries are kept in two generations. A full young one becomes the old one, and the old one is
/// dropped whole: room is made in constant time, however many tokens are thrown at it.
#[derive(Default)]
pub(super) struct VerifiedTokens(RwLock<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<TokenDigest, Entry>,
    young_bytes: usize,
    old: HashMap<TokenDigest, Entry>,
}

struct Entry {
    caller: Caller,
    verify_time: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl VerifiedTokens {
    pub(super) fn get(&self, digest: &TokenDigest, now: DateTime<Utc>) -> Option<Caller> {
        let generations = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entry = generations
            .young
            .get(digest)
            .or_else(|| generations.old.get(digest))?;
        // A clock that was set back must not lengthen an entry's life.
        let counts = entry.verify_time <= now && now < entry.until;
        counts.then(|| entry.caller.clone())
    }

    pub(super) fn insert(&self, digest: TokenDigest, caller: Caller, now: DateTime<Utc>) {
        let until = caller.expire_time().min(now + KEPT);
        let bytes = caller.token().len();
        let mut generations = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= MAX_ENTRIES || generations.young_bytes + bytes > MAX_BYTES {
            generations.old = std::mem::take(&mut generations.young);
            generations.young_bytes = 0;
        }
        generations.young_bytes += bytes;
        generations.young.insert(
            digest,
            Entry {
                caller,
                verify_time: now,
                until,
            },
        );
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let generations = self.0.read().unwrap();
        generations.young.len() + generations.old.len()
    }
}
