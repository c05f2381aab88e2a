//! The keys of permits and service accounts, that change over time.
//!
//! All replicas of the authorization service mount one folder. A file in it is named
//! `<when it starts to sign>-<any text>.pem`, with a time such as `20260131T093000Z`, so that a new
//! key can be there, and be published, before it is used. The newest key that has started signs;
//! older ones stay, because what they signed can still be looked at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, Utc};
use thiserror::Error;

use super::current::Current;
use super::files::{self, FileError};
use super::keys::{KeyError, PublicKey, SigningKey};
use crate::environment::Environment;

const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// How much of a key's id is in the name of its file, for people to tell files apart.
const KID_IN_NAME: usize = 8;

/// Why a folder of signing keys cannot be used.
#[derive(Debug, Error)]
pub enum SigningFolderError {
    /// The folder cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key in it cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file that does not say from when on its key signs.
    #[error(
        "{} must be named by the time from which it signs, such as 20260131T093000Z-main.pem",
        path.display()
    )]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// The same key in two files.
    #[error("{} holds the same key as another file of the folder: remove one", path.display())]
    Duplicate {
        /// The file with the later name.
        path: PathBuf,
    },
    /// No key, or none that has started.
    #[error("{} holds no key that may sign yet: run `reprise init`", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// The keys of permits and service accounts. Cheap to clone; all clones see a folder that was read
/// again.
#[derive(Clone, Debug)]
pub struct SigningFolder {
    path: Arc<Path>,
    keys: Arc<Current<Keys>>,
    env: Environment,
}

/// What a folder held when it was read.
#[derive(Debug, PartialEq, Eq)]
struct Keys {
    oldest: DatedKey,
    /// By the time from which they sign.
    later: Vec<DatedKey>,
}

#[derive(Debug)]
struct DatedKey {
    start_time: DateTime<Utc>,
    key: SigningKey,
}

impl PartialEq for DatedKey {
    fn eq(&self, other: &Self) -> bool {
        self.start_time == other.start_time && self.key.public() == other.key.public()
    }
}

impl Eq for DatedKey {}

impl SigningFolder {
    /// Reads a folder.
    ///
    /// # Errors
    ///
    /// If a key in it cannot be used, or none may sign yet.
    pub fn load(path: &Path, env: Environment) -> Result<Self, SigningFolderError> {
        Ok(Self {
            path: path.into(),
            keys: Arc::new(Current::new(Keys::load(path, env.now())?)),
            env,
        })
    }

    /// Reads the folder again, and tells whether it has changed.
    ///
    /// # Errors
    ///
    /// As for [`SigningFolder::load`]. The keys that were there before stay, so that there is always
    /// one that signs.
    pub fn reload(&self) -> Result<bool, SigningFolderError> {
        let keys = Keys::load(&self.path, self.env.now())?;
        let changed = keys != *self.keys.get();
        if changed {
            self.keys.set(keys);
        }
        Ok(changed)
    }

    /// The key that signs now.
    #[must_use]
    pub fn signer(&self) -> SigningKey {
        self.keys.get().signer(self.env.now()).clone()
    }

    /// The public halves of all keys, those that sign no more and not yet included. The one that
    /// signs now is the first; the others follow from the newest to the oldest.
    #[must_use]
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.keys.get().public(self.env.now())
    }
}

impl Keys {
    fn load(path: &Path, now: DateTime<Utc>) -> Result<Self, SigningFolderError> {
        let mut keys: Vec<DatedKey> = Vec::new();
        for file in files::pem_files(path)? {
            let start_time =
                start_time(&file).ok_or_else(|| SigningFolderError::Name { path: file.clone() })?;
            let key = SigningKey::load(&file)?;
            if keys.iter().any(|known| known.key.public() == key.public()) {
                return Err(SigningFolderError::Duplicate { path: file });
            }
            keys.push(DatedKey { start_time, key });
        }
        let mut keys = keys.into_iter();
        match keys.next() {
            Some(oldest) if oldest.start_time <= now => Ok(Self {
                oldest,
                later: keys.collect(),
            }),
            Some(_) | None => Err(SigningFolderError::Empty {
                path: path.to_owned(),
            }),
        }
    }

    fn signer(&self, now: DateTime<Utc>) -> &SigningKey {
        let started = self
            .later
            .iter()
            .rev()
            .find(|dated| dated.start_time <= now);
        &started.unwrap_or(&self.oldest).key
    }

    fn public(&self, now: DateTime<Utc>) -> Vec<PublicKey> {
        let signer = self.signer(now).public();
        let others = self
            .later
            .iter()
            .rev()
            .chain([&self.oldest])
            .map(|dated| dated.key.public());
        let others = others.filter(|key| *key != signer);
        [signer].into_iter().chain(others).cloned().collect()
    }
}

/// The name of the file of a key that signs from `start_time` on.
pub(super) fn file_name(key: &SigningKey, start_time: DateTime<Utc>) -> String {
    let kid: String = key.kid().chars().take(KID_IN_NAME).collect();
    format!("{}-{kid}.pem", start_time.format(TIME_FORMAT))
}

fn start_time(file: &Path) -> Option<DateTime<Utc>> {
    let (time, _) = file.file_name()?.to_str()?.split_once('-')?;
    NaiveDateTime::parse_from_str(time, TIME_FORMAT)
        .ok()
        .map(|time| time.and_utc())
}
