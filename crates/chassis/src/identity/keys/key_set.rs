use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{KeyError, PublicKey};

/// Public keys by id, none twice. In JSON it is a list of JWKs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<PublicKey>", into = "Vec<PublicKey>")]
pub struct KeySet(BTreeMap<Arc<str>, PublicKey>);

impl KeySet {
    /// The set of these keys.
    ///
    /// # Errors
    ///
    /// If one is there twice.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, KeyError> {
        let mut set = Self::default();
        for key in keys {
            if let Some(known) = set.0.insert(key.kid().into(), key) {
                return Err(KeyError::Duplicate {
                    kid: known.kid().into(),
                });
            }
        }
        Ok(set)
    }

    /// The key with this id.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&PublicKey> {
        self.0.get(kid)
    }

    /// Adds a key; one that is there stays.
    pub fn insert(&mut self, key: PublicKey) {
        self.0.insert(key.kid().into(), key);
    }

    /// All keys, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.values()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<PublicKey>> for KeySet {
    type Error = KeyError;

    fn try_from(keys: Vec<PublicKey>) -> Result<Self, KeyError> {
        Self::new(keys)
    }
}

impl From<KeySet> for Vec<PublicKey> {
    fn from(keys: KeySet) -> Self {
        keys.0.into_values().collect()
    }
}
