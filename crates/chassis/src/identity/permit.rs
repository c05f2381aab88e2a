//! Permits: the authorization service's word that one person may do one rollback.
//!
//! A permit is a JWS like a token, with another `typ`, so that neither can pass as the other. It
//! lasts for seconds. Whether it fits a particular write is for the registry to say.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use model::{
    DeployNumber, DeploymentName, PermissionSet, Principal, RollbackId, Scope, ServiceName,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::current::Current;
use super::jws::{self, JwsError, Unverified};
use super::keys::{KeySet, SigningKey};
use super::text;
use crate::environment::Environment;

/// The version of the claims that is made and understood.
pub const PERMIT_VERSION: u32 = 2;

/// The longest that a permit lasts.
pub const MAX_PERMIT_LIFETIME: TimeDelta = TimeDelta::seconds(15);

/// The `typ` of a permit. A token has another.
const TYPE: &str = "reprise-permit+jwt";

/// By how much the signer's clock may be ahead of ours. `exp` has no such allowance, since a revoke
/// is complete once the last permit has expired.
const LEEWAY: TimeDelta = TimeDelta::seconds(2);

/// Which check a permit failed.
#[derive(Debug, Error)]
pub enum PermitError {
    /// Not a permit at all, or not signed by the key that it names.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// Of a version that is not understood.
    #[error("version {found} is not supported, only {PERMIT_VERSION}")]
    Version {
        /// What the permit says.
        found: u32,
    },
    /// Signed by a key that signs no permits.
    #[error("no key {kid:?} signs permits")]
    UnknownKey {
        /// What the permit says.
        kid: String,
    },
    /// Of another issuer.
    #[error("the issuer is not {expected:?}")]
    Issuer {
        /// The only issuer of permits.
        expected: Arc<str>,
    },
    /// For another service than the one that writes.
    #[error("the audience is not {}", ServiceName::DeployRegistry)]
    Audience,
    /// For another service than the one that rolls back.
    #[error("the actor is not {}", ServiceName::RollbackOrchestrator)]
    Actor,
    /// For nobody who can answer for it.
    #[error("a permit is for a user or a service account")]
    Person,
    /// No deploy to roll back to, or none that is there yet.
    #[error("the target is no deploy up to the expected latest one")]
    Target,
    /// Too long, or no time at all.
    #[error("a permit lasts at most {} seconds", MAX_PERMIT_LIFETIME.num_seconds())]
    Lifetime,
    /// No more.
    #[error("expired at {expire_time}")]
    Expired {
        /// Since when.
        expire_time: DateTime<Utc>,
    },
    /// Not yet. The two clocks are apart.
    #[error("issued in the future, at {issue_time}")]
    IssuedInFuture {
        /// When.
        issue_time: DateTime<Utc>,
    },
    /// No service would look at it.
    #[error("the permit would be longer than {} bytes", jws::MAX_LENGTH)]
    TooLong,
    /// The claims could not be written.
    #[error("the claims could not be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// What a permit says. In JSON every name is its text, and times are whole seconds.
///
/// A claim that is not understood refuses the permit: it might be a condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermitClaims {
    /// [`PERMIT_VERSION`].
    #[serde(rename = "ver")]
    pub version: u32,
    /// Who signed: [`AUTHORIZATION_ISSUER`](super::AUTHORIZATION_ISSUER).
    #[serde(rename = "iss")]
    pub issuer: String,
    /// Who takes it: the deploy-registry.
    #[serde(rename = "aud", with = "text")]
    pub audience: ServiceName,
    /// Who may use it: the rollback-orchestrator.
    #[serde(with = "text")]
    pub actor: Principal,
    /// Who rolls back: a user or a service account.
    #[serde(with = "text")]
    pub person: Principal,
    /// The Deployment.
    #[serde(with = "text")]
    pub deployment: DeploymentName,
    /// The Deployment's uid.
    pub deployment_uid: Uuid,
    /// The deploy to roll back to.
    #[serde(with = "text::deploy_number")]
    pub target_deploy: DeployNumber,
    /// The latest deploy, with which the write is compared.
    #[serde(with = "text::deploy_number")]
    pub expected_latest_deploy: DeployNumber,
    /// The part to roll back.
    #[serde(with = "text")]
    pub scope: Scope,
    /// What the person was found to hold.
    #[serde(with = "text::permissions")]
    pub permissions: PermissionSet,
    /// Whether the write places a hold on the Deployment.
    pub hold: bool,
    /// The registry's digest of the revision after the rollback.
    pub revision_digest: String,
    /// The digest of the plan, as evidence.
    pub plan_digest: String,
    /// The rollback.
    #[serde(with = "text")]
    pub rollback: RollbackId,
    /// The policy that allowed it.
    pub policy_revision: i64,
    /// When it was issued.
    #[serde(rename = "iat", with = "text::seconds")]
    pub issue_time: DateTime<Utc>,
    /// From when on it counts no more; at most [`MAX_PERMIT_LIFETIME`] after it was issued.
    #[serde(rename = "exp", with = "text::seconds")]
    pub expire_time: DateTime<Utc>,
    /// The permit's own id, which is taken once.
    #[serde(rename = "jti")]
    pub id: Uuid,
}

impl PermitClaims {
    /// What holds of every permit, whenever it is looked at.
    fn check(&self) -> Result<(), PermitError> {
        if self.version != PERMIT_VERSION {
            return Err(PermitError::Version {
                found: self.version,
            });
        }
        if self.audience != ServiceName::DeployRegistry {
            return Err(PermitError::Audience);
        }
        if self.actor != Principal::Service(ServiceName::RollbackOrchestrator) {
            return Err(PermitError::Actor);
        }
        match self.person {
            Principal::User(_) | Principal::ServiceAccount(_) => {}
            Principal::Group(_) | Principal::Service(_) => return Err(PermitError::Person),
        }
        if self.target_deploy.is_none() || self.target_deploy > self.expected_latest_deploy {
            return Err(PermitError::Target);
        }
        let lifetime = self.expire_time - self.issue_time;
        if lifetime <= TimeDelta::zero() || lifetime > MAX_PERMIT_LIFETIME {
            return Err(PermitError::Lifetime);
        }
        Ok(())
    }
}

/// Signs a permit.
///
/// # Errors
///
/// If no registry would take it: it would last too long, or be for another service.
pub fn sign(key: &SigningKey, claims: &PermitClaims) -> Result<String, PermitError> {
    claims.check()?;
    let permit = jws::sign(key, TYPE, claims)?;
    if permit.len() > jws::MAX_LENGTH {
        Err(PermitError::TooLong)
    } else {
        Ok(permit)
    }
}

/// A permit that was verified, and the text that proves it.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedPermit {
    claims: PermitClaims,
    jws: String,
}

impl VerifiedPermit {
    /// What it says.
    #[must_use]
    pub fn claims(&self) -> &PermitClaims {
        &self.claims
    }

    /// The signed text, to keep as evidence.
    #[must_use]
    pub fn jws(&self) -> &str {
        &self.jws
    }
}

impl fmt::Debug for VerifiedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedPermit")
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// Verifies permits. Cheap to clone; all clones trust the same keys.
#[derive(Clone, Debug)]
pub struct PermitVerifier {
    keys: Arc<Current<KeySet>>,
    issuer: Arc<str>,
    env: Environment,
}

impl PermitVerifier {
    /// Takes permits of this issuer, signed by one of these keys.
    #[must_use]
    pub fn new(keys: KeySet, issuer: impl Into<Arc<str>>, env: Environment) -> Self {
        Self {
            keys: Arc::new(Current::new(keys)),
            issuer: issuer.into(),
            env,
        }
    }

    /// Trusts these keys from now on, and no others.
    pub fn trust(&self, keys: KeySet) {
        self.keys.set(keys);
    }

    /// Verifies a permit by itself. Whether it fits a write is another question, and so is whether
    /// it was used before.
    ///
    /// # Errors
    ///
    /// The first check that the permit failed.
    pub fn verify(&self, jws: &str) -> Result<VerifiedPermit, PermitError> {
        let unverified = Unverified::<PermitClaims>::parse(jws, TYPE)?;
        let keys = self.keys.get();
        let key = keys
            .get(unverified.kid())
            .ok_or_else(|| PermitError::UnknownKey {
                kid: unverified.kid().to_owned(),
            })?;
        let claims = unverified.verify(key)?;

        if claims.issuer != *self.issuer {
            return Err(PermitError::Issuer {
                expected: self.issuer.clone(),
            });
        }
        claims.check()?;
        let now = self.env.now();
        if claims.expire_time <= now {
            return Err(PermitError::Expired {
                expire_time: claims.expire_time,
            });
        }
        if claims.issue_time > now + LEEWAY {
            return Err(PermitError::IssuedInFuture {
                issue_time: claims.issue_time,
            });
        }
        Ok(VerifiedPermit {
            claims,
            jws: jws.to_owned(),
        })
    }
}
