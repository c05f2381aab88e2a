//! The keys of an identity provider as they are known now, and when they are fetched again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, watch};

use super::client::{FETCH_WITHIN, FetchError, Fetched, OidcClient};
use super::keys::ProviderKeys;
use crate::backoff;
use crate::environment::Environment;
use crate::identity::trust::OidcIssuer;
use crate::problem::chain;

/// How often keys are fetched anew, unless the provider asks for it more often.
const FETCH_EVERY: Duration = Duration::from_mins(10);
const FETCH_AT_MOST_EVERY: Duration = Duration::from_mins(1);

/// How often an unknown key is a reason to fetch.
const ASK_AT_MOST_EVERY: TimeDelta = TimeDelta::seconds(30);

/// For how long keys count while the provider cannot be reached.
const KEPT: TimeDelta = TimeDelta::hours(24);

/// The pauses after a fetch that has failed.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// An identity provider. One task [keeps](Self::keep) its keys fresh; calls that need newer ones ask
/// that task, and wait for it together.
pub(in crate::identity) struct Provider {
    issuer: OidcIssuer,
    env: Environment,
    state: watch::Sender<State>,
    asked: Notify,
}

struct State {
    known: Option<Known>,
    fetching: bool,
    /// How many fetches have ended, well or not.
    ended: u64,
    ask_time: Option<DateTime<Utc>>,
}

struct Known {
    keys: Arc<ProviderKeys>,
    fetch_time: DateTime<Utc>,
}

impl Provider {
    pub(in crate::identity) fn new(issuer: OidcIssuer, env: Environment) -> Self {
        Self {
            issuer,
            env,
            state: watch::Sender::new(State {
                known: None,
                // The first one is about to begin.
                fetching: true,
                ended: 0,
                ask_time: None,
            }),
            asked: Notify::new(),
        }
    }

    pub(in crate::identity) fn issuer(&self) -> &OidcIssuer {
        &self.issuer
    }

    /// The provider's keys, unless it could not be asked for them for too long.
    pub(in crate::identity) fn keys(&self) -> Option<Arc<ProviderKeys>> {
        let state = self.state.borrow();
        let known = state.known.as_ref()?;
        let age = self.env.now() - known.fetch_time;
        (age < KEPT).then(|| Arc::clone(&known.keys))
    }

    /// Waits for the keys to be fetched, if that is allowed at the moment. What matters is known
    /// afterwards, or not.
    pub(in crate::identity) async fn refreshed(&self) {
        let now = self.env.now();
        let mut changes = self.state.subscribe();
        let mut waited_for = None;
        let mut ask = false;
        self.state.send_if_modified(|state| {
            if !state.fetching && state.may_be_asked(now) {
                state.fetching = true;
                state.ask_time = Some(now);
                ask = true;
            }
            waited_for = state.fetching.then_some(state.ended);
            // Nobody waits for a fetch to begin.
            false
        });
        if ask {
            self.asked.notify_one();
        }
        if let Some(ended) = waited_for {
            // An error says that it takes too long, or that the provider is gone.
            let ended = changes.wait_for(|state| state.ended != ended);
            let _ = tokio::time::timeout(FETCH_WITHIN, ended).await;
        }
    }

    /// Fetches the keys now, and then again and again, for ever.
    pub(in crate::identity) async fn keep(self: Arc<Self>, client: OidcClient) {
        let mut failures = 0;
        loop {
            self.state.send_if_modified(|state| {
                state.fetching = true;
                false
            });
            let outcome = client.fetch(&self.issuer).await;
            let pause = match &outcome {
                Ok(fetched) => {
                    failures = 0;
                    let asked_for = fetched.max_age.unwrap_or(FETCH_EVERY);
                    asked_for.clamp(FETCH_AT_MOST_EVERY, FETCH_EVERY)
                }
                Err(_) => {
                    failures += 1;
                    backoff::pause(failures, FIRST_PAUSE, LONGEST_PAUSE)
                }
            };
            self.end_fetch(outcome);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.asked.notified() => {}
            }
        }
    }

    fn end_fetch(&self, outcome: Result<Fetched, FetchError>) {
        let issuer = self.issuer.name();
        let known = match outcome {
            Ok(Fetched { keys, max_age: _ }) => {
                if keys.len() == 0 {
                    tracing::warn!(%issuer, "the identity provider has no key that can be used: all of its tokens are refused");
                }
                tracing::debug!(%issuer, keys = keys.len(), "the keys of the identity provider were fetched");
                Some(Known {
                    keys: Arc::new(keys),
                    fetch_time: self.env.now(),
                })
            }
            Err(error) => {
                tracing::warn!(
                    %issuer, cause = chain(&error),
                    "the keys of the identity provider could not be fetched; will try again"
                );
                None
            }
        };
        self.state.send_modify(|state| {
            state.fetching = false;
            state.ended += 1;
            if known.is_some() {
                state.known = known;
            }
        });
    }
}

impl State {
    fn may_be_asked(&self, now: DateTime<Utc>) -> bool {
        // A clock that is set back must not keep anybody from asking.
        self.ask_time
            .is_none_or(|asked| (now - asked).abs() >= ASK_AT_MOST_EVERY)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", self.issuer.name())
            .finish_non_exhaustive()
    }
}
