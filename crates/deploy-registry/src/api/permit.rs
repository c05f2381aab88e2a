//! Holding a permit against the request that brings it.

use chassis::identity::{Caller, PermitClaims, VerifiedPermit};
use chassis::problem::Problem;
use model::{DeployNumber, DeploymentName, RollbackId, Scope};

use super::Registry;
use super::errors::{About, permit_invalid, permit_used};
use crate::domain::{DeploymentUid, PermitId};
use crate::store::PermitBounds;

/// What a permit must be for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) deployment: &'a DeploymentName,
    pub(super) rollback: RollbackId,
    pub(super) target: DeployNumber,
    pub(super) expected_latest: DeployNumber,
    pub(super) scope: Scope,
    pub(super) hold: bool,
}

/// Why a permit is not taken. For the log.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("there is no permit")]
    Missing,
    #[error("the permit is for another {0}")]
    Other(&'static str),
}

/// Verifies a permit, and that it is for exactly this write. What only the transaction can tell is
/// left to it: the Deployment's uid, the revision and the permissions.
pub(super) async fn verify(
    registry: &Registry,
    caller: &Caller,
    wanted: Wanted<'_>,
    permit: &str,
) -> Result<VerifiedPermit, Problem> {
    if permit.is_empty() {
        return Err(permit_invalid(Refused::Missing));
    }
    let permit = registry.permits.verify(permit).map_err(permit_invalid)?;
    let Some(other) = difference(permit.claims(), caller, wanted) else {
        return Ok(permit);
    };
    let id = PermitId::new(permit.claims().id);
    let used = registry.store.rollback_of_permit(id).await;
    match used.map_err(|error| About::deployment(wanted.deployment).problem(error))? {
        Some(rollback) if rollback != wanted.rollback => Err(permit_used()),
        Some(_) | None => Err(permit_invalid(Refused::Other(other))),
    }
}

/// What of the permit is not as wanted.
fn difference(claims: &PermitClaims, caller: &Caller, wanted: Wanted<'_>) -> Option<&'static str> {
    let PermitClaims {
        version: _,
        issuer: _,
        audience: _,
        actor,
        person: _,
        deployment,
        deployment_uid: _,
        target_deploy,
        expected_latest_deploy,
        scope,
        permissions: _,
        hold,
        revision_digest: _,
        plan_digest: _,
        rollback,
        policy_revision: _,
        issue_time: _,
        expire_time: _,
        id: _,
    } = claims;
    let same = [
        ("actor", actor == caller.principal()),
        ("deployment", deployment == wanted.deployment),
        ("target", *target_deploy == wanted.target),
        (
            "expected latest deploy",
            *expected_latest_deploy == wanted.expected_latest,
        ),
        ("scope", *scope == wanted.scope),
        ("hold", *hold == wanted.hold),
        ("rollback", *rollback == wanted.rollback),
    ];
    same.into_iter()
        .find(|(_, same)| !same)
        .map(|(name, _)| name)
}

/// What the transaction holds against the write.
pub(super) fn bounds(permit: &VerifiedPermit) -> PermitBounds {
    let claims = permit.claims();
    PermitBounds {
        deployment_uid: DeploymentUid::new(claims.deployment_uid),
        revision_digest: claims.revision_digest.clone(),
        permissions: claims.permissions,
        jws: permit.jws().to_owned(),
    }
}
