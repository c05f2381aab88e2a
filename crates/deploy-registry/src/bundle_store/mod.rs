//! Where the bytes of bundles are: a folder, or a bucket of S3, Google Cloud Storage or Azure.
//!
//! ```text
//! mod    writing, reading and removing
//! url    the place, as an operator writes it
//! cloud  buckets and their credentials
//! ```
//!
//! A bundle is the object `{deployment uid}/{sha256}.{upload}`: each upload has an object of its own,
//! so that removing one never meets the writing of another, and the database says which one counts.
//! An object appears whole or not at all, and only after its size and digest were checked.
//!
//! In a folder its bytes are written beside it, under a name with a `#`, are flushed to the disk, are
//! put in place by one rename, and the folder is flushed as well. So a bundle that was answered
//! survives `kill -9` and a power cut, as far as the disk keeps what it says it has written. In a
//! bucket it is a multipart upload, which is completed last. An upload that ends in any other way
//! leaves nothing, but for one whose process was killed: of that a file with a `#` stays, which
//! [`BundleStore::remove_leftovers`] removes, or an incomplete multipart upload, which no store shows
//! to us and every store can be told to drop after a day.

mod cloud;
#[cfg(test)]
pub(crate) mod tests;
mod url;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use model::Sha256Digest;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::cloud::Variables;
use self::url::Place;
pub use self::url::{BundleStoreUrl, BundleStoreUrlError};
use crate::domain::{BundleObject, BundleSize, DeploymentUid};

/// How many pieces of an upload are on their way to the store at once, each of [`PIECE`] bytes:
/// this bounds the memory that an upload takes.
const PIECES_AT_ONCE: usize = 2;
/// The smallest piece that every object store takes.
const PIECE: usize = 5 * 1024 * 1024;
/// How many uploads one replica takes at once, each with some pieces in memory. A client can open as
/// many as it likes.
pub(crate) const MOST_UPLOADS: usize = 64;

/// How long a question to the store may take that a caller waits for: less than services wait for
/// each other.
const PATIENCE: Duration = Duration::from_secs(4);

/// Why the bundle store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot use the folder {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{MOST_UPLOADS} uploads are going on")]
    Busy,
    #[error("the bundle store does not answer in time")]
    Slow,
    #[error("the bundle store failed")]
    Store(#[from] object_store::Error),
}

impl Error {
    /// Whether the object is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::Store(object_store::Error::NotFound { path: _, source: _ })
        )
    }
}

/// The bytes of all bundles. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BundleStore {
    objects: Arc<dyn ObjectStore>,
    /// Set if it is a folder.
    folder: Option<PathBuf>,
    uploads: Arc<Semaphore>,
}

/// The store itself can show its credentials.
impl fmt::Debug for BundleStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BundleStore").finish_non_exhaustive()
    }
}

impl BundleStore {
    /// Opens the store, and creates its folder if it is missing. What a bucket needs beside its name
    /// comes from the environment.
    pub(crate) fn open(url: &BundleStoreUrl) -> Result<Self, Error> {
        let text = |name: std::ffi::OsString| name.into_string().ok();
        let variables = std::env::vars_os();
        let variables = variables.filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        Self::open_with(url, &variables.collect())
    }

    fn open_with(
        BundleStoreUrl(place): &BundleStoreUrl,
        variables: &Variables,
    ) -> Result<Self, Error> {
        let (objects, folder): (Arc<dyn ObjectStore>, _) = match place {
            Place::Folder(path) => {
                std::fs::create_dir_all(path).map_err(|source| Error::Folder {
                    path: path.clone(),
                    source,
                })?;
                let folder = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
                (Arc::new(folder), Some(path.clone()))
            }
            Place::Bucket {
                cloud,
                bucket,
                prefix,
            } => (cloud::open(*cloud, bucket, prefix, variables)?, None),
        };
        Ok(Self {
            objects,
            folder,
            uploads: Arc::new(Semaphore::new(MOST_UPLOADS)),
        })
    }

    /// Whether all bytes of a bundle are there.
    pub(crate) async fn has(
        &self,
        deployment: DeploymentUid,
        object: &BundleObject,
        size: BundleSize,
    ) -> Result<bool, Error> {
        match in_time(self.objects.head(&location(deployment, object))).await {
            Ok(object) => Ok(object.size == size.bytes()),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Begins to write a bundle, unless too many are being written.
    pub(crate) async fn upload(
        &self,
        deployment: DeploymentUid,
        object: &BundleObject,
    ) -> Result<BundleUpload, Error> {
        let room = Arc::clone(&self.uploads).try_acquire_owned();
        let room = room.map_err(|_| Error::Busy)?;
        let parts = self
            .objects
            .put_multipart(&location(deployment, object))
            .await?;
        Ok(BundleUpload {
            write: Some(WriteMultipart::new_with_chunk_size(parts, PIECE)),
            hash: Sha256::new(),
            received: 0,
            _room: room,
        })
    }

    /// Reads some of the bytes of a bundle.
    pub(crate) async fn read(
        &self,
        deployment: DeploymentUid,
        object: &BundleObject,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        let location = location(deployment, object);
        Ok(self.objects.get_range(&location, range).await?)
    }

    /// Removes the bytes of a bundle, if they are there.
    pub(crate) async fn remove(
        &self,
        deployment: DeploymentUid,
        object: &BundleObject,
    ) -> Result<(), Error> {
        match self.objects.delete(&location(deployment, object)).await {
            Ok(()) | Err(object_store::Error::NotFound { path: _, source: _ }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The objects of a Deployment that were written before a time.
    pub(crate) async fn objects_before(
        &self,
        deployment: DeploymentUid,
        time: DateTime<Utc>,
    ) -> Result<BTreeSet<BundleObject>, Error> {
        let prefix = Path::from(deployment.to_string());
        let objects = self.objects.list(Some(&prefix));
        let old = objects.try_filter_map(|object| async move {
            let name = object.location.filename().map(BundleObject::stored);
            Ok(name.filter(|_| object.last_modified < time))
        });
        Ok(old.try_collect().await?)
    }

    /// Removes what killed uploads to a Deployment left of themselves before a time, and returns how
    /// many there were.
    pub(crate) async fn remove_leftovers(
        &self,
        deployment: DeploymentUid,
        time: DateTime<Utc>,
    ) -> Result<usize, Error> {
        let Some(folder) = &self.folder else {
            return Ok(0);
        };
        let path = folder.join(deployment.to_string());
        remove_old_parts(&path, time)
            .await
            .map_err(|source| Error::Folder { path, source })
    }
}

async fn remove_old_parts(folder: &std::path::Path, time: DateTime<Utc>) -> io::Result<usize> {
    let mut removed = 0;
    let mut entries = match tokio::fs::read_dir(folder).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    while let Some(entry) = entries.next_entry().await? {
        let is_part = entry.file_name().to_string_lossy().contains('#');
        if is_part && DateTime::<Utc>::from(entry.metadata().await?.modified()?) < time {
            tokio::fs::remove_file(entry.path()).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

async fn in_time<T>(
    call: impl Future<Output = Result<T, object_store::Error>>,
) -> Result<T, Error> {
    let answer = tokio::time::timeout(PATIENCE, call).await;
    Ok(answer.map_err(|_| Error::Slow)??)
}

/// A bundle that is being written. Nothing of it is seen before [`BundleUpload::publish`], and
/// nothing is left if it is dropped before.
#[derive(Debug)]
pub(crate) struct BundleUpload {
    /// None once it has ended.
    write: Option<WriteMultipart>,
    hash: Sha256,
    received: u64,
    _room: OwnedSemaphorePermit,
}

impl BundleUpload {
    /// Adds the next bytes, as soon as the store has taken enough of those before.
    pub(crate) async fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.hash.update(chunk);
        self.received += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        if let Some(write) = &mut self.write {
            write.wait_for_capacity(PIECES_AT_ONCE).await?;
            // Copied, not kept: a chunk can be one byte that keeps a whole message alive.
            write.write(chunk);
        }
        Ok(())
    }

    /// How many bytes have come.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// The digest of the bytes that have come.
    pub(crate) fn digest(&self) -> Sha256Digest {
        Sha256Digest::new(self.hash.clone().finalize().into())
    }

    /// Puts the bundle in place. When this returns, it is there for good.
    pub(crate) async fn publish(mut self) -> Result<(), Error> {
        if let Some(write) = self.write.take() {
            write.finish().await?;
        }
        Ok(())
    }

    /// Gives the upload up and removes what was written of it.
    pub(crate) async fn abort(mut self) {
        if let Some(write) = self.write.take() {
            abort(write).await;
        }
    }
}

impl Drop for BundleUpload {
    fn drop(&mut self) {
        // A caller that went away drops the upload where it stands.
        if let Some(write) = self.write.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(abort(write));
        }
    }
}

async fn abort(write: WriteMultipart) {
    if let Err(error) = write.abort().await {
        tracing::warn!(%error, "what was written of an upload could not be removed");
    }
}

fn location(deployment: DeploymentUid, object: &BundleObject) -> Path {
    Path::from_iter([deployment.to_string().as_str(), object.as_str()])
}
