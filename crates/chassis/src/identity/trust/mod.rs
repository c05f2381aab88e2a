//! `trust.json`: which issuer may speak for whom.
//!
//! | kind | `sub` becomes | `groups` becomes |
//! | --- | --- | --- |
//! | `users` | `user:<sub>` | `group:<g>` each |
//! | `service_accounts` | `service-account:<sub>` | nothing |
//! | `service` | `service:<name>`, and must equal the name in the file | nothing |
//! | `oidc` | `user:<subject_prefix><sub>` | `group:<group_prefix><g>` each |
//!
//! The kind is in the file and not in the token, so that no issuer can produce another. The issuers
//! of the first three kinds are ours, and their keys are in the file. One of the kind `oidc` is an
//! identity provider, whose keys are fetched:
//!
//! ```json
//! {
//!   "kind": "oidc",
//!   "issuer": "https://acme.okta.com",
//!   "audience": "reprise",
//!   "algorithms": ["RS256"],
//!   "subject_claim": "email",
//!   "subject_prefix": "okta:",
//!   "groups_claim": "groups",
//!   "group_prefix": "okta:",
//!   "jwks_uri": "https://acme.okta.com/oauth2/v1/keys"
//! }
//! ```
//!
//! `issuer`, `audience` and `subject_prefix` are needed, the others have defaults: [`OidcSettings`].
//! No prefix begins another provider's, so that no two can name the same person or group. The issuer
//! of kind `users`, whose keys are the operator's own, may name anybody.

mod issuer;
mod oidc;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::ServiceName;
use thiserror::Error;

use super::files::{self, FileError};
use super::keys::{KeySet, PublicKey};
use wire::{VERSION, Wire};

pub use issuer::{IssuerKind, SubjectError, TrustedIssuer};
pub(super) use oidc::secure_url;
pub use oidc::{Algorithm, OidcError, OidcIssuer, OidcSettings, default_algorithms};

/// The issuer of tokens for people, where there is no identity provider.
pub const LOCAL_ISSUER: &str = "reprise-local";

/// The issuer of service accounts' tokens and of permits: the authorization service.
pub const AUTHORIZATION_ISSUER: &str = "reprise-authorization";

/// The issuer of the tokens by which a service calls another: the service itself.
#[must_use]
pub fn service_issuer(service: ServiceName) -> String {
    format!("reprise-service/{service}")
}

/// Why a trust file cannot be used.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The file cannot be read, or others can change it.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something in the file is wrong.
    #[error("{} cannot be used", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<TrustError>,
    },
    /// Not the JSON that it should be.
    #[error("not a trust file")]
    Json(#[from] serde_json::Error),
    /// Written by a later release.
    #[error("version {found} is not supported, only {VERSION}")]
    Version {
        /// The version of the file.
        found: u32,
    },
    /// Nobody could ever call.
    #[error("no issuer is listed")]
    Empty,
    /// An issuer without a name.
    #[error("an issuer has an empty name")]
    IssuerName,
    /// The same issuer twice.
    #[error("issuer `{issuer}` would be listed twice: change or remove the one that is there")]
    DuplicateIssuer {
        /// The issuer.
        issuer: Arc<str>,
    },
    /// One key that two may sign with would let one speak for the other.
    #[error("key `{kid}` is listed for more than one issuer")]
    SharedKey {
        /// The key's id.
        kid: String,
    },
    /// An issuer that could never be verified.
    #[error("issuer `{issuer}` has no keys")]
    NoKeys {
        /// The issuer.
        issuer: Arc<str>,
    },
    /// An identity provider with settings that cannot be used.
    #[error("issuer `{issuer}`")]
    Oidc {
        /// The issuer.
        issuer: String,
        /// What is wrong.
        source: OidcError,
    },
    /// Two identity providers could name the same person or group.
    #[error("prefix `{prefix}` of issuer `{issuer}` and a prefix of issuer `{other}` begin alike")]
    Prefixes {
        /// A prefix.
        prefix: String,
        /// Whose it is.
        issuer: Arc<str>,
        /// The other one.
        other: Arc<str>,
    },
}

/// The issuers that a service trusts, and the keys that sign permits.
///
/// No key serves two issuers. The keys of permits may be those of service accounts, which the same
/// service signs; the type in the header tells the two apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustFile {
    issuers: BTreeMap<Arc<str>, TrustedIssuer>,
    oidc: BTreeMap<Arc<str>, OidcIssuer>,
    permit_keys: KeySet,
}

impl TrustFile {
    /// Trusts these issuers, and permits signed by these keys.
    ///
    /// # Errors
    ///
    /// If an issuer is there twice, has no name or no keys, or shares a key with another.
    pub fn new(
        issuers: impl IntoIterator<Item = TrustedIssuer>,
        permit_keys: KeySet,
    ) -> Result<Self, TrustError> {
        let mut trust = Self {
            issuers: BTreeMap::new(),
            oidc: BTreeMap::new(),
            permit_keys,
        };
        let mut signers = BTreeSet::new();
        for issuer in issuers {
            let name = issuer.name().clone();
            if name.is_empty() {
                return Err(TrustError::IssuerName);
            }
            if issuer.keys().is_empty() {
                return Err(TrustError::NoKeys { issuer: name });
            }
            for kid in issuer.keys().iter().map(PublicKey::kid) {
                let signs_permits = trust.permit_keys.get(kid).is_some();
                let may_sign_permits = issuer.kind() == IssuerKind::ServiceAccounts;
                let signs_for_another = !signers.insert(kid.to_owned());
                if signs_for_another || signs_permits && !may_sign_permits {
                    return Err(TrustError::SharedKey {
                        kid: kid.to_owned(),
                    });
                }
            }
            if trust.issuers.insert(name.clone(), issuer).is_some() {
                return Err(TrustError::DuplicateIssuer { issuer: name });
            }
        }
        Ok(trust)
    }

    /// Trusts an identity provider, too.
    ///
    /// # Errors
    ///
    /// If its settings cannot be used, an issuer of this name is trusted already, or another provider
    /// could name the same people.
    pub fn with_oidc(mut self, settings: OidcSettings) -> Result<Self, TrustError> {
        let name = settings.issuer.clone();
        let issuer = OidcIssuer::new(settings).map_err(|source| TrustError::Oidc {
            issuer: name,
            source,
        })?;
        let name = issuer.name().clone();
        if self.issuers.contains_key(&name) || self.oidc.contains_key(&name) {
            return Err(TrustError::DuplicateIssuer { issuer: name });
        }
        for other in self.oidc.values() {
            if let Some(prefix) = issuer.overlap(other) {
                return Err(TrustError::Prefixes {
                    prefix: prefix.to_owned(),
                    issuer: name,
                    other: other.name().clone(),
                });
            }
        }
        self.oidc.insert(name, issuer);
        Ok(self)
    }

    /// Reads the text of a trust file.
    ///
    /// # Errors
    ///
    /// If it is of another form or version, or breaks a rule of [`TrustFile::new`].
    pub fn parse(json: &[u8]) -> Result<Self, TrustError> {
        serde_json::from_slice::<Wire>(json)?.try_into()
    }

    /// Reads a trust file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, can be changed by others than its owner, or cannot be used.
    pub fn load(path: &Path) -> Result<Self, TrustError> {
        Self::parse(&files::read_trusted(path)?).map_err(|source| TrustError::InFile {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// The text of the file, in lines for people.
    ///
    /// # Errors
    ///
    /// If the encoder fails, which it has no reason to.
    pub fn to_json(&self) -> Result<Vec<u8>, TrustError> {
        let mut json = serde_json::to_vec_pretty(&Wire::from(self))?;
        json.push(b'\n');
        Ok(json)
    }

    /// The issuer with this name, if its keys are in the file.
    #[must_use]
    pub fn issuer(&self, name: &str) -> Option<&TrustedIssuer> {
        self.issuers.get(name)
    }

    /// All issuers whose keys are in the file, in the order of their names.
    pub fn issuers(&self) -> impl Iterator<Item = &TrustedIssuer> {
        self.issuers.values()
    }

    /// All identity providers, in the order of their names.
    pub fn oidc_issuers(&self) -> impl Iterator<Item = &OidcIssuer> {
        self.oidc.values()
    }

    /// The keys that sign permits.
    #[must_use]
    pub fn permit_keys(&self) -> &KeySet {
        &self.permit_keys
    }

    /// The same with one more key of an issuer, if that is trusted at all.
    pub(super) fn with_key(mut self, issuer: &str, key: PublicKey) -> Result<Self, TrustError> {
        if let Some(issuer) = self.issuers.get_mut(issuer) {
            issuer.add_key(key);
        }
        Ok(Self {
            oidc: self.oidc,
            ..Self::new(self.issuers.into_values(), self.permit_keys)?
        })
    }

    /// The same with one more key that signs permits and service accounts' tokens.
    pub(super) fn with_signing_key(mut self, key: PublicKey) -> Result<Self, TrustError> {
        self.permit_keys.insert(key.clone());
        self.with_key(AUTHORIZATION_ISSUER, key)
    }
}
