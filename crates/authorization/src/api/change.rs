//! Deciding and writing a change that must not race with others.
//!
//! A change is decided at one policy and written only if that is still the newest. If it is not, it
//! is decided again.

use std::sync::Arc;
use std::time::Duration;

use chassis::backoff;
use chassis::fields::Fields;
use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use tokio::sync::MutexGuard;

use super::Authorization;
use super::problems::policy_keeps_moving;
use crate::domain::index::Index;
use crate::domain::policy_change::Author;
use crate::domain::subject::Subject;
use crate::domain::tokens::Credential;
use crate::policy::Policy;
use crate::store::{self, Changed};

const LONGEST_REASON: usize = 500;
const MOST_ATTEMPTS: u32 = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Why a change is made.
pub(super) fn reason(fields: &mut Fields, reason: &str) -> Option<String> {
    fields.text("reason", reason.to_owned(), LONGEST_REASON)
}

/// Somebody who makes a change by a call.
pub(super) fn author(caller: &Subject, time: DateTime<Utc>, reason: String) -> Author {
    Author {
        principal: caller.principal.clone(),
        time,
        reason,
        managed_by: None,
    }
}

/// The attempts at one change.
///
/// ```text
/// let mut attempts = Attempts::begin(service, &credential).await;
/// let changed = loop {
///     let index = attempts.policy().await?;
///     // authorize and decide by the index
///     let written = service.store.….await;
///     if let Some(changed) = attempts.end(written).await? {
///         break changed;
///     }
/// };
/// ```
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    policy: &'a Policy,
    credential: &'a Credential,
    begun: u32,
    _turn: MutexGuard<'a, ()>,
}

impl<'a> Attempts<'a> {
    /// Waits for the turn to change the policy.
    pub(super) async fn begin(service: &'a Authorization, credential: &'a Credential) -> Self {
        let policy = &service.policy;
        Self {
            policy,
            credential,
            begun: 0,
            _turn: policy.turn().await,
        }
    }

    /// Begins an attempt, with the newest policy.
    pub(super) async fn policy(&mut self) -> Result<Arc<Index>, Problem> {
        self.begun += 1;
        Ok(self.policy.newest(self.credential).await?)
    }

    /// Ends an attempt. A change is returned when this replica answers by it; none if the attempt
    /// has to be made again.
    pub(super) async fn end<T>(
        &self,
        written: Result<Changed<T>, store::Error>,
    ) -> Result<Option<Changed<T>>, Problem> {
        match written {
            Ok(changed) => {
                self.policy.reach(changed.revision).await?;
                Ok(Some(changed))
            }
            Err(store::Error::PolicyMoved) if self.begun < MOST_ATTEMPTS => {
                tokio::time::sleep(backoff::pause(self.begun, FIRST_PAUSE, LONGEST_PAUSE)).await;
                Ok(None)
            }
            Err(store::Error::PolicyMoved) => Err(policy_keeps_moving()),
            Err(error) => Err(error.into()),
        }
    }
}
