//! Who calls, once the token is verified.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use model::{PermissionSet, Principal};

/// Who calls, by a token that was verified. Cheap to clone.
#[derive(Clone)]
pub struct Caller(Arc<Inner>);

pub(super) struct Inner {
    pub(super) principal: Principal,
    pub(super) groups: Vec<Principal>,
    pub(super) issuer: Arc<str>,
    pub(super) token_id: Option<String>,
    pub(super) expire_time: DateTime<Utc>,
    pub(super) token: String,
}

impl Caller {
    /// Only a verifier makes one.
    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Who it is. Never a group.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// What a service may do, which no binding gives it. Empty for everybody else.
    #[must_use]
    pub fn service_permissions(&self) -> PermissionSet {
        match self.principal() {
            Principal::Service(service) => service.permissions(),
            Principal::User(_) | Principal::Group(_) | Principal::ServiceAccount(_) => {
                PermissionSet::EMPTY
            }
        }
    }

    /// The groups that the token puts a person into; of others none.
    #[must_use]
    pub fn groups(&self) -> &[Principal] {
        &self.0.groups
    }

    /// Who issued the token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The token's id. A service account's token always has one.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.0.token_id.as_deref()
    }

    /// From when on the token counts no more. A stream ends then, at the latest.
    #[must_use]
    pub fn expire_time(&self) -> DateTime<Utc> {
        self.0.expire_time
    }

    /// The token itself, to ask the authorization service on the caller's behalf. Not for logs.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.0.token
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            principal,
            groups,
            issuer,
            token_id,
            expire_time,
            token: _,
        } = &*self.0;
        f.debug_struct("Caller")
            .field("principal", &format_args!("{principal}"))
            .field("groups", groups)
            .field("issuer", issuer)
            .field("token_id", token_id)
            .field("expire_time", expire_time)
            .finish_non_exhaustive()
    }
}
