//! When the tokens of service accounts were last seen.
//!
//! A call only leaves a note in memory. The notes are written once a minute and at the end, and are
//! worth no more than that: what does not fit or cannot be written is forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chassis::identity::Caller;
use chassis::problem::chain;
use chrono::{DateTime, Utc};
use model::names::Principal;

use crate::domain::tokens::TokenId;
use crate::store::{self, Store};

/// How often the notes are written.
const WRITE_EVERY: Duration = Duration::from_mins(1);
/// How many tokens can be noted until then.
const MOST_TOKENS: usize = 10_000;
/// How many are written in one transaction, which keeps others from writing to SQLite.
const BATCH: usize = 256;

/// The tokens that were seen and are not written yet.
#[derive(Debug, Default)]
pub(crate) struct TokenUses(Mutex<HashMap<TokenId, DateTime<Utc>>>);

impl TokenUses {
    /// Notes the token of the caller, if it is one that is known here.
    pub(crate) fn saw(&self, caller: &Caller, now: DateTime<Utc>) {
        let id = match caller.principal() {
            Principal::ServiceAccount(_) => caller.token_id().and_then(TokenId::parse),
            Principal::User(_) | Principal::Group(_) | Principal::Service(_) => None,
        };
        let Some(id) = id else { return };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < MOST_TOKENS || seen.contains_key(&id) {
            seen.insert(id, now);
        }
    }

    /// Writes the notes until `stop` resolves, and then once more.
    pub(crate) async fn write_until(&self, store: &Store, stop: impl Future<Output = ()>) {
        let writing = async {
            loop {
                tokio::time::sleep(WRITE_EVERY).await;
                self.write(store).await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = writing => {}
        }
        self.write(store).await;
    }

    pub(crate) async fn write(&self, store: &Store) {
        let seen = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut seen = seen.into_iter().collect::<Vec<_>>();
        seen.sort_unstable();
        let written: Result<(), store::Error> = async {
            for batch in seen.chunks(BATCH) {
                store.remember_uses(batch).await?;
            }
            Ok(())
        }
        .await;
        if let Err(error) = written {
            let cause = chain(&error);
            tracing::warn!(cause, "when tokens were last used could not be written");
        }
    }
}
