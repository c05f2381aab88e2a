//! What the first permit of a rollback leaves behind, so that the rollback can be finished without
//! the person.

use chrono::{DateTime, TimeDelta, Utc};
use model::deploys::Scope;
use model::names::{DeployNumber, Principal, RollbackName};
use model::permissions::{Permission, PermissionSet};
use uuid::Uuid;

use super::subject::Subject;

/// How long a grant gives permits: what an accepted rollback has to be written in.
pub(crate) const GRANT_LIFETIME: TimeDelta = TimeDelta::seconds(60);

/// How long a grant is kept after that, for those who look into what happened.
pub(crate) const KEPT_AFTER_EXPIRY: TimeDelta = TimeDelta::days(7);

/// What a permit can be for.
pub(crate) const PERMITTED: PermissionSet = PermissionSet::of(&[
    Permission::DeploymentImagesPush,
    Permission::DeploymentDagsPush,
]);

/// Everything that a permit binds, besides the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// The rollback, and with it the Deployment.
    pub(crate) rollback: RollbackName,
    pub(crate) deployment_uid: Uuid,
    pub(crate) target_deploy: DeployNumber,
    pub(crate) expected_latest_deploy: DeployNumber,
    pub(crate) scope: Scope,
    /// What the person must hold on the Deployment.
    pub(crate) permissions: PermissionSet,
    /// Whether the rollback places a hold on the Deployment.
    pub(crate) hold: bool,
    pub(crate) revision_digest: String,
    pub(crate) plan_digest: String,
}

/// Who a grant is for: a person as their token described them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grantee {
    /// A user or a service account.
    pub(crate) person: Principal,
    pub(crate) groups: Vec<Principal>,
    /// The id of their token, if it had one.
    pub(crate) token_id: Option<String>,
}

impl Grantee {
    /// The person, to be checked again.
    pub(crate) fn subject(&self) -> Subject {
        Subject {
            principal: self.person.clone(),
            groups: self.groups.clone(),
            service_permissions: PermissionSet::EMPTY,
        }
    }
}

/// The right to further permits of one rollback, until its deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RollbackGrant {
    pub(crate) grantee: Grantee,
    pub(crate) bound: Bound,
    /// By the database's clock.
    pub(crate) expire_time: DateTime<Utc>,
}

impl RollbackGrant {
    /// Whether this is the grant for the same person and rollback. The person's groups and token
    /// may have changed since; those of the grant go on to count.
    pub(crate) fn is_for(&self, grantee: &Grantee, bound: &Bound) -> bool {
        self.grantee.person == grantee.person && self.bound == *bound
    }
}
