//! Asks image registries: what a tag points to, whether a manifest is there, and which versions the
//! labels of an image tell.
//!
//! ```text
//! mod            what the service asks, with its bounds: time, calls at once, a short memory
//! session        one look-up in one registry: requests, credentials, sizes
//! challenge      how a registry wants to be asked
//! docker_config  credentials by host
//! host           which server an image lives on
//! manifest       what of a manifest and of its configuration is read
//! ```
//!
//! It speaks the part of the OCI distribution API that only reads. Whoever ships an image chooses
//! the host that is asked, so an answer is trusted with nothing: sizes are bounded, digests are
//! computed here, credentials go to the host that they are for and to where that host wants them
//! shown, and plain text only to hosts that the operator has named.

mod challenge;
mod docker_config;
mod host;
mod manifest;
mod session;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::environment::Environment;
use chrono::{DateTime, TimeDelta, Utc};
use model::{ImageDigest, ImageRepository, ImageTag};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::docker_config::DockerConfig;
use self::host::Host;
use self::session::Session;
use crate::domain::{FoundImage, SeenImage};

/// How many registries are asked at once. Others wait, within the time that they have.
const MOST_AT_ONCE: usize = 32;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it is remembered that an image is there.
const REMEMBERED_FOR: TimeDelta = TimeDelta::seconds(30);
const MOST_REMEMBERED: usize = 1_024;

/// Why a registry does not say what it is asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot look up the credentials for {host}")]
    Credentials {
        host: String,
        source: docker_config::Error,
    },
    #[error("{host} wants other credentials: give them with --docker-config")]
    Denied { host: String },
    #[error("{host} cannot be reached")]
    Unreachable {
        host: String,
        source: reqwest::Error,
    },
    #[error("{host} does not answer in time")]
    Slow { host: String },
    #[error("{host} answers with status {status}")]
    Status { host: String, status: u16 },
    #[error("{host} answers what cannot be used: {what}")]
    Unusable { host: String, what: &'static str },
}

/// Why registries cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The credentials cannot be read.
    #[error(transparent)]
    DockerConfig(Box<dyn std::error::Error + Send + Sync>),
    /// There is no TLS.
    #[error("cannot set up TLS with the authorities that this system trusts")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How registries are asked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) docker_config: Option<PathBuf>,
    /// Hosts, each with its port if it has one, that are asked in plain text.
    pub(crate) insecure: BTreeSet<String>,
    /// How long a look-up may take that a new deploy waits for.
    pub(crate) patience: Duration,
    /// How long one may take that a rollback waits for.
    pub(crate) rollback_patience: Duration,
}

/// The image registries of the world. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Images(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    docker_config: Option<DockerConfig>,
    insecure: BTreeSet<String>,
    patience: Duration,
    rollback_patience: Duration,
    room: Semaphore,
    environment: Environment,
    /// When an image was last seen. Only that: one that is gone can be pushed again.
    seen: Mutex<HashMap<(ImageRepository, ImageDigest), DateTime<Utc>>>,
}

impl Images {
    /// Prepares to ask, and reads the credentials once, to fail early. The process has installed a
    /// provider of cryptography by now.
    pub(crate) async fn open(
        settings: Settings,
        environment: Environment,
    ) -> Result<Self, OpenError> {
        let Settings {
            docker_config,
            insecure,
            patience,
            rollback_patience,
        } = settings;
        let docker_config = docker_config.map(DockerConfig::new);
        if let Some(config) = &docker_config {
            let checked = config.check().await;
            checked.map_err(|error| OpenError::DockerConfig(error.into()))?;
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent("reprise")
            .build()
            .map_err(|error| OpenError::Tls(error.into()))?;
        Ok(Self(Arc::new(Inner {
            http,
            docker_config,
            insecure,
            patience,
            rollback_patience,
            room: Semaphore::new(MOST_AT_ONCE),
            environment,
            seen: Mutex::default(),
        })))
    }

    /// What the registry says of an image that a deploy ships: by its digest, its tag, or both.
    pub(crate) async fn look_up(
        &self,
        repository: &ImageRepository,
        tag: Option<&ImageTag>,
        digest: Option<ImageDigest>,
    ) -> Result<SeenImage, Error> {
        let host = Host::of(repository);
        let seen = self.bounded(&host, self.0.patience, async {
            let mut session = self.session(&host, repository);
            let tagged = match tag {
                Some(tag) => session.manifest(tag.as_str()).await?,
                None => None,
            };
            let tag_digest = tagged.as_ref().map(|manifest| manifest.digest);
            let manifest = match digest {
                Some(digest) if Some(digest) != tag_digest => session.manifest_of(digest).await?,
                Some(_) | None => tagged,
            };
            let image = match manifest {
                Some(manifest) => Some(FoundImage {
                    digest: manifest.digest,
                    versions: session.versions(&manifest).await?,
                }),
                None => None,
            };
            Ok(SeenImage { tag_digest, image })
        });
        seen.await
    }

    /// Whether the image is there that a rollback would bring back.
    pub(crate) async fn has(
        &self,
        repository: &ImageRepository,
        digest: ImageDigest,
    ) -> Result<bool, Error> {
        if self.was_seen(repository, digest) {
            return Ok(true);
        }
        let host = Host::of(repository);
        let there = self.bounded(&host, self.0.rollback_patience, async {
            self.session(&host, repository).has(digest).await
        });
        let there = there.await?;
        if there {
            self.remember(repository, digest);
        }
        Ok(there)
    }

    fn session<'a>(&'a self, host: &'a Host, repository: &ImageRepository) -> Session<'a> {
        let Inner {
            http,
            docker_config,
            insecure,
            patience: _,
            rollback_patience: _,
            room: _,
            environment: _,
            seen: _,
        } = &*self.0;
        Session::new(http, docker_config.as_ref(), insecure, host, repository)
    }

    async fn bounded<T>(
        &self,
        host: &Host,
        patience: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let slow = || Error::Slow {
            host: host.to_string(),
        };
        let work = async {
            let _room = self.0.room.acquire().await.map_err(|_| slow())?;
            work.await
        };
        timeout(patience, work)
            .await
            .unwrap_or_else(|_| Err(slow()))
    }

    fn was_seen(&self, repository: &ImageRepository, digest: ImageDigest) -> bool {
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let time = seen.get(&(repository.clone(), digest));
        time.is_some_and(|time| is_fresh(*time, self.0.environment.now()))
    }

    fn remember(&self, repository: &ImageRepository, digest: ImageDigest) {
        let now = self.0.environment.now();
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_REMEMBERED {
            seen.retain(|_, time| is_fresh(*time, now));
        }
        // If all are fresh, this one is asked for again: that costs a call, and nothing else.
        if seen.len() < MOST_REMEMBERED {
            seen.insert((repository.clone(), digest), now);
        }
    }
}

/// Whether what was seen then still counts. A clock that was set back does not make it last.
fn is_fresh(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let age = now - time;
    TimeDelta::zero() <= age && age < REMEMBERED_FOR
}
