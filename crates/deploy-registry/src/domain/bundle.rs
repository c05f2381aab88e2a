use chrono::{DateTime, Utc};
use model::{DagBundleName, Principal, Sha256Digest};
use uuid::Uuid;

/// The number of bytes of a bundle; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BundleSize(i64);

impl BundleSize {
    /// This many bytes; none if there is not at least one.
    pub(crate) const fn new(bytes: i64) -> Option<Self> {
        if bytes > 0 { Some(Self(bytes)) } else { None }
    }

    /// The number of bytes.
    pub(crate) const fn get(self) -> i64 {
        self.0
    }

    /// The number of bytes, as lengths are counted.
    pub(crate) const fn bytes(self) -> u64 {
        self.0.unsigned_abs()
    }
}

/// A bundle of DAGs or of a dbt project, as a revision names it: by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// The digest of the bytes.
    pub(crate) sha256: Sha256Digest,
    /// How many bytes they are.
    pub(crate) size: BundleSize,
}

/// Which object of the bundle store has the bytes of a bundle, below its Deployment. No two uploads
/// write the same one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BundleObject(String);

impl BundleObject {
    /// The object that an upload writes.
    pub(crate) fn new(sha256: Sha256Digest, upload: Uuid) -> Self {
        Self(format!("{sha256}.{}", upload.simple()))
    }

    /// A name that was stored.
    pub(crate) fn stored(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A bundle that a Deployment has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredBundle {
    pub(crate) name: DagBundleName,
    pub(crate) size: BundleSize,
    pub(crate) object: BundleObject,
    /// Who uploaded it first.
    pub(crate) created_by: Principal,
    /// When it was uploaded first.
    pub(crate) create_time: DateTime<Utc>,
}
