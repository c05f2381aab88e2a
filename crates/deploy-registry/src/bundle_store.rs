//! Where the bytes of bundles are: an object store, today a folder.
//!
//! A bundle is the object `{deployment uid}/{sha256}`, so that the same bytes in two Deployments are
//! two objects. An object appears whole or not at all: its bytes are written beside it, under a name
//! with a `#`, are flushed to the disk, are put in place by one rename, and the folder is flushed as
//! well. So a bundle that was answered survives `kill -9` and a power cut, as far as the disk keeps
//! what it says it has written. What a crash leaves of an upload is a file with a `#` in its name,
//! which nobody ever sees as a bundle; one older than a day can be deleted. An upload that ends in
//! any other way leaves nothing.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use model::Sha256Digest;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::{BundleSize, DeploymentUid};

/// How many pieces of an upload are on their way to the store at once, each of [`PIECE`] bytes:
/// this bounds the memory that an upload takes.
const PIECES_AT_ONCE: usize = 2;
/// The smallest piece that every object store takes.
const PIECE: usize = 5 * 1024 * 1024;
/// How many uploads one replica takes at once, each with some pieces in memory. A client can open as
/// many as it likes.
pub(crate) const MOST_UPLOADS: usize = 64;

/// Where the bundles are kept: a folder, as a path or a `file://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleStoreUrl(PathBuf);

/// A text that is no place for bundles.
#[derive(Debug, thiserror::Error)]
#[error("bundles are kept in a folder: give its path, or file:///path/to/folder")]
pub struct BundleStoreUrlError;

impl BundleStoreUrl {
    /// A folder, which is created if it is missing.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl FromStr for BundleStoreUrl {
    type Err = BundleStoreUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => path,
            Some(_) => return Err(BundleStoreUrlError),
            None => text,
        };
        if path.is_empty() || path.contains('\0') {
            return Err(BundleStoreUrlError);
        }
        Ok(Self(path.into()))
    }
}

impl fmt::Display for BundleStoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// Why the bundle store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot use the folder {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{MOST_UPLOADS} uploads are going on")]
    Busy,
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
#[derive(Debug, Clone)]
pub(crate) struct BundleStore {
    objects: Arc<dyn ObjectStore>,
    uploads: Arc<Semaphore>,
}

impl BundleStore {
    /// Opens the store, and creates its folder if it is missing.
    pub(crate) fn open(url: &BundleStoreUrl) -> Result<Self, Error> {
        let BundleStoreUrl(path) = url;
        std::fs::create_dir_all(path).map_err(|source| Error::Folder {
            path: path.clone(),
            source,
        })?;
        let folder = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        Ok(Self {
            objects: Arc::new(folder),
            uploads: Arc::new(Semaphore::new(MOST_UPLOADS)),
        })
    }

    /// Whether all bytes of a bundle are there.
    pub(crate) async fn has(
        &self,
        deployment: DeploymentUid,
        sha256: Sha256Digest,
        size: BundleSize,
    ) -> Result<bool, Error> {
        match self.objects.head(&location(deployment, sha256)).await {
            Ok(object) => Ok(object.size == size.bytes()),
            Err(object_store::Error::NotFound { path: _, source: _ }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins to write a bundle, unless too many are being written.
    pub(crate) async fn upload(
        &self,
        deployment: DeploymentUid,
        sha256: Sha256Digest,
    ) -> Result<BundleUpload, Error> {
        let room = Arc::clone(&self.uploads).try_acquire_owned();
        let room = room.map_err(|_| Error::Busy)?;
        let parts = self
            .objects
            .put_multipart(&location(deployment, sha256))
            .await?;
        Ok(BundleUpload {
            write: WriteMultipart::new_with_chunk_size(parts, PIECE),
            hash: Sha256::new(),
            received: 0,
            _room: room,
        })
    }

    /// Reads some of the bytes of a bundle.
    pub(crate) async fn read(
        &self,
        deployment: DeploymentUid,
        sha256: Sha256Digest,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        Ok(self
            .objects
            .get_range(&location(deployment, sha256), range)
            .await?)
    }
}

/// A bundle that is being written. Nothing of it is seen before [`BundleUpload::publish`], and
/// nothing is left if it is dropped before.
#[derive(Debug)]
pub(crate) struct BundleUpload {
    write: WriteMultipart,
    hash: Sha256,
    received: u64,
    _room: OwnedSemaphorePermit,
}

impl BundleUpload {
    /// Adds the next bytes, as soon as the store has taken enough of those before.
    pub(crate) async fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.hash.update(chunk);
        self.received += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.write.wait_for_capacity(PIECES_AT_ONCE).await?;
        // Copied, not kept: a chunk can be one byte that keeps a whole message alive.
        self.write.write(chunk);
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
    pub(crate) async fn publish(self) -> Result<(), Error> {
        self.write.finish().await?;
        Ok(())
    }

    /// Gives the upload up and removes what was written of it.
    pub(crate) async fn abort(self) {
        if let Err(error) = self.write.abort().await {
            tracing::warn!(%error, "what was written of an upload could not be removed");
        }
    }
}

fn location(deployment: DeploymentUid, sha256: Sha256Digest) -> Path {
    Path::from_iter([deployment.to_string(), sha256.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_given_by_path_or_url() {
        for (text, folder) in [
            ("/var/lib/reprise/bundles", "/var/lib/reprise/bundles"),
            ("bundles", "bundles"),
            ("file:///var/lib/bundles", "/var/lib/bundles"),
        ] {
            assert_eq!(
                text.parse::<BundleStoreUrl>().unwrap(),
                BundleStoreUrl::folder(folder)
            );
        }
        for text in [
            "",
            "s3://bucket/bundles",
            "file://host/bundles",
            "file://",
            "a\0b",
        ] {
            assert!(text.parse::<BundleStoreUrl>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn uploads_at_once_are_bounded_and_make_room_when_they_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = BundleStore::open(&BundleStoreUrl::folder(folder.path())).unwrap();
        let deployment = DeploymentUid::new(uuid::Uuid::from_u128(1));
        let begin = || store.upload(deployment, Sha256Digest::new([7; 32]));

        let mut uploads = Vec::new();
        for _ in 0..MOST_UPLOADS {
            uploads.push(begin().await.unwrap());
        }
        assert!(matches!(begin().await, Err(Error::Busy)));
        uploads.pop().unwrap().abort().await;
        drop(uploads.pop());
        uploads.push(begin().await.unwrap());
        uploads.push(begin().await.unwrap());
        assert!(matches!(begin().await, Err(Error::Busy)));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = BundleStore::open(&BundleStoreUrl::folder(file.path())).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&file.path().display().to_string()),
            "{error}"
        );
    }
}
