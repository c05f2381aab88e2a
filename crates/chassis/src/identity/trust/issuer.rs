use std::fmt;
use std::sync::Arc;

use model::{NameError, Principal, ServiceName};
use thiserror::Error;

use crate::identity::keys::{KeySet, PublicKey};

/// Why an issuer cannot speak for a subject.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubjectError {
    /// The subject is no name of its kind.
    #[error("the subject is no name")]
    Name(#[from] NameError),
    /// A service speaks for itself only.
    #[error("the subject is not {0}")]
    NotItself(Principal),
}

/// For whom an issuer may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerKind {
    /// People and their groups.
    Users,
    /// Service accounts.
    ServiceAccounts,
    /// This service, and no other.
    Service(ServiceName),
}

impl IssuerKind {
    /// The principal that `sub` stands for, when an issuer of this kind has signed it.
    ///
    /// # Errors
    ///
    /// If the issuer may not speak for it, or it is no name.
    pub fn principal(self, sub: &str) -> Result<Principal, SubjectError> {
        match self {
            Self::Users => Ok(Principal::user(sub)?),
            Self::ServiceAccounts => Ok(Principal::ServiceAccount(sub.parse()?)),
            Self::Service(service) => {
                let itself = Principal::Service(service);
                if sub == itself.to_string() {
                    Ok(itself)
                } else {
                    Err(SubjectError::NotItself(itself))
                }
            }
        }
    }
}

impl fmt::Display for IssuerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Users => f.write_str("users"),
            Self::ServiceAccounts => f.write_str("service accounts"),
            Self::Service(service) => write!(f, "service {service}"),
        }
    }
}

/// An issuer, for whom it may speak, and its keys.
///
/// The keys stand in the file, so that the algorithm is EdDSA by their type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedIssuer {
    name: Arc<str>,
    kind: IssuerKind,
    keys: KeySet,
}

impl TrustedIssuer {
    /// An issuer with these keys.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, kind: IssuerKind, keys: KeySet) -> Self {
        Self {
            name: name.into(),
            kind,
            keys,
        }
    }

    /// The value of `iss`. Cheap to clone.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// For whom it may speak.
    #[must_use]
    pub fn kind(&self) -> IssuerKind {
        self.kind
    }

    /// The keys that it signs with.
    #[must_use]
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    pub(super) fn add_key(&mut self, key: PublicKey) {
        self.keys.insert(key);
    }
}
