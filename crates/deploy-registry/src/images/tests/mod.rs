//! Look-ups in a stand-in that answers as a registry may, however badly, and in a real one.

#[cfg(feature = "test-servers")]
pub(crate) mod real;
#[cfg(feature = "test-servers")]
mod registry;
mod stand_in;
mod unruly;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::domain::ImageVersions;

/// Long enough that only a test that waits for it reaches it.
const LONG: Duration = Duration::from_secs(30);

/// What asks the registry at `host`, in plain text.
struct Asker {
    images: Images,
    repository: ImageRepository,
    seconds: Arc<AtomicI64>,
}

impl Asker {
    async fn new(host: &str) -> Self {
        Self::with(host, None, LONG).await
    }

    async fn with(host: &str, docker_config: Option<PathBuf>, patience: Duration) -> Self {
        let seconds = Arc::new(AtomicI64::new(1_767_225_600));
        let clock = seconds.clone();
        let environment = Environment::with_clock(move || {
            DateTime::from_timestamp(clock.load(Ordering::SeqCst), 0).unwrap()
        });
        Self {
            images: open(host, docker_config, patience, environment)
                .await
                .unwrap(),
            repository: format!("{host}/data/etl").parse().unwrap(),
            seconds,
        }
    }

    async fn by_tag(&self, tag: &str) -> Result<SeenImage, Error> {
        let tag = tag.parse().unwrap();
        self.images
            .look_up(&self.repository, Some(&tag), None)
            .await
    }

    async fn by_digest(&self, digest: ImageDigest) -> Result<SeenImage, Error> {
        self.images
            .look_up(&self.repository, None, Some(digest))
            .await
    }

    async fn has(&self, digest: ImageDigest) -> Result<bool, Error> {
        self.images.has(&self.repository, digest).await
    }
}

pub(crate) async fn open(
    host: &str,
    docker_config: Option<PathBuf>,
    patience: Duration,
    environment: Environment,
) -> Result<Images, OpenError> {
    // The tests of one process share it: all but the first are told that it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Settings {
        docker_config,
        insecure: BTreeSet::from([host.to_owned()]),
        patience,
        rollback_patience: patience,
    };
    Images::open(settings, environment).await
}

fn versions(runtime: &str, airflow: &str) -> ImageVersions {
    ImageVersions {
        runtime: runtime.parse().ok(),
        airflow: airflow.parse().ok(),
    }
}
