//! Changes of a keyring's files while the service runs.
//!
//! A file is read again every ten seconds. One that has changed takes effect as a whole; one that
//! cannot be used changes nothing, and is told to the log once, until it breaks in another way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};

use super::keyring::Keyring;
use super::oidc::OidcClient;
use super::permit::PermitVerifier;
use super::signing_folder::SigningFolder;
use super::verifier::TokenVerifier;
use crate::problem::chain;

/// How often the files are read again.
pub const READ_EVERY: Duration = Duration::from_secs(10);

/// Brings what has changed in a keyring to those who verify and sign by it.
pub struct KeyringFollower {
    keyring: Keyring,
    verifier: Arc<TokenVerifier>,
    permits: Option<PermitVerifier>,
    signing: Option<SigningFolder>,
    oidc: OidcClient,
    trust_file: Condition,
    signing_folder: Condition,
}

impl KeyringFollower {
    /// Follows the trust file for whoever verifies tokens.
    #[must_use]
    pub fn new(keyring: Keyring, verifier: Arc<TokenVerifier>) -> Self {
        Self {
            keyring,
            verifier,
            permits: None,
            signing: None,
            oidc: OidcClient::default(),
            trust_file: Condition::default(),
            signing_folder: Condition::default(),
        }
    }

    /// Follows the trust file for whoever verifies permits, too.
    #[must_use]
    pub fn permits(mut self, permits: PermitVerifier) -> Self {
        self.permits = Some(permits);
        self
    }

    /// Follows the folder of signing keys, too.
    #[must_use]
    pub fn signing(mut self, signing: SigningFolder) -> Self {
        self.signing = Some(signing);
        self
    }

    /// Fetches the keys of identity providers by this client.
    #[must_use]
    pub fn oidc(mut self, oidc: OidcClient) -> Self {
        self.oidc = oidc;
        self
    }

    /// Whose trust is followed.
    #[must_use]
    pub fn verifier(&self) -> &Arc<TokenVerifier> {
        &self.verifier
    }

    /// Follows the files, and the keys of the identity providers that are trusted, for ever.
    pub async fn run(mut self) {
        let mut fetching = self.fetch();
        loop {
            tokio::time::sleep(READ_EVERY).await;
            // Files can be on a network that hangs.
            let looked = spawn_blocking(move || {
                let changed = self.look();
                (self, changed)
            });
            let changed;
            (self, changed) = match looked.await {
                Ok(looked) => looked,
                Err(error) => {
                    tracing::error!(%error, "keys and trust are not followed any more: restart the service");
                    return;
                }
            };
            if changed {
                fetching.shutdown().await;
                fetching = self.fetch();
            }
        }
    }

    /// Starts to fetch the keys of all identity providers. It ends when the tasks are dropped.
    pub(super) fn fetch(&self) -> JoinSet<()> {
        let mut fetching = JoinSet::new();
        for provider in self.verifier.providers() {
            fetching.spawn(provider.keep(self.oidc.clone()));
        }
        fetching
    }

    /// Reads every file once. Tells whether other issuers are trusted than before.
    pub(super) fn look(&mut self) -> bool {
        let mut changed = false;
        match self.keyring.trust() {
            Ok(trust) => {
                self.trust_file.is_good("the trust file can be used again");
                let permit_keys = trust.permit_keys().clone();
                changed = self.verifier.trust(trust);
                if changed {
                    tracing::info!("the trust file has changed and takes effect");
                }
                if let Some(permits) = &self.permits {
                    permits.trust(permit_keys);
                }
            }
            Err(error) => self.trust_file.is_broken(
                &error,
                "the trust file cannot be used; what was trusted before stays trusted",
            ),
        }
        if let Some(signing) = &self.signing {
            match signing.reload() {
                Ok(changed) => {
                    self.signing_folder
                        .is_good("the folder of signing keys can be used again");
                    if changed {
                        tracing::info!("the folder of signing keys has changed and takes effect");
                    }
                }
                Err(error) => self.signing_folder.is_broken(
                    &error,
                    "the folder of signing keys cannot be used; the keys that were there stay",
                ),
            }
        }
        changed
    }
}

impl fmt::Debug for KeyringFollower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringFollower")
            .field("keyring", &self.keyring)
            .finish_non_exhaustive()
    }
}

/// Whether a file could be used when it was read last, to tell each breakage once.
#[derive(Debug, Default)]
struct Condition {
    broken: Option<String>,
}

impl Condition {
    fn is_good(&mut self, message: &str) {
        if self.broken.take().is_some() {
            tracing::info!("{message}");
        }
    }

    fn is_broken(&mut self, error: &(dyn std::error::Error + 'static), message: &str) {
        let cause = chain(error);
        if self.broken.as_ref() != Some(&cause) {
            tracing::error!(cause, "{message}");
            self.broken = Some(cause);
        }
    }
}
