//! Whether a plan may be carried out.

use model::deploys::Scope;
use model::names::RollbackName;
use model::permissions::PermissionSet;

use super::blocker::{Blocker, BlockerCode};
use super::digest::PlanDigest;
use super::plan::Plan;
use super::warning::WarningCode;

/// Why a plan is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The caller lacks permissions for the scope or the hold, and these scopes are open.
    PermissionMissing {
        missing: PermissionSet,
        open_scopes: Vec<Scope>,
        /// Those that are open without the hold, if one was asked for.
        open_without_hold: Option<Vec<Scope>>,
    },
    /// The caller agreed to another plan than this one.
    PlanChanged(PlanDigest),
    /// Nothing is in the way but another rollback that is not done yet.
    InProgress(RollbackName),
    /// Reasons against the rollback; all of them.
    Blocked(Vec<Blocker>),
    /// Warnings that must be acknowledged and are not.
    NotAcknowledged(Vec<WarningCode>),
}

/// Decides, in the order in which a caller may learn of it: permission, then whether it is the plan
/// that the caller agreed to, then what blocks it, then what must be acknowledged.
pub(crate) fn admit(
    plan: &Plan,
    agreed: Option<PlanDigest>,
    acknowledged: &[WarningCode],
) -> Result<(), Refusal> {
    let permissions = &plan.permissions;
    if !permissions.missing.is_empty() {
        let open_scopes = permissions.open_scopes.clone();
        let open_without_hold = plan
            .options
            .hold
            .then(|| permissions.open_without_hold.clone());
        return Err(Refusal::PermissionMissing {
            missing: permissions.missing,
            open_scopes,
            open_without_hold,
        });
    }
    if agreed.is_some_and(|agreed| agreed != plan.digest) {
        return Err(Refusal::PlanChanged(plan.digest));
    }
    match (plan.blockers.as_slice(), &plan.in_progress) {
        ([], _) => {}
        (
            [
                Blocker {
                    code: BlockerCode::RollbackInProgress,
                    ..
                },
            ],
            Some(rollback),
        ) => {
            return Err(Refusal::InProgress(rollback.clone()));
        }
        (blockers, _) => return Err(Refusal::Blocked(blockers.to_vec())),
    }
    let missing = plan
        .must_acknowledge()
        .filter(|code| !acknowledged.contains(code))
        .collect::<Vec<_>>();
    if !missing.is_empty() {
        return Err(Refusal::NotAcknowledged(missing));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
