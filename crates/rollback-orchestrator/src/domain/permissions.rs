//! What a caller needs for a rollback, holds and lacks.

use model::deploys::{DagDeployMode, Scope};
use model::names::Principal;
use model::permissions::PermissionSet;
use model::scope;

/// What a caller needs for a rollback, holds and lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PermissionReport {
    pub(crate) principal: Principal,
    /// For the scope that was asked for, and for a hold if one was.
    pub(crate) needed: PermissionSet,
    /// Of those that are needed.
    pub(crate) held: PermissionSet,
    /// Of those that are needed.
    pub(crate) missing: PermissionSet,
    /// The scopes that the caller's permissions allow for this target, with a hold if one was asked
    /// for.
    pub(crate) open_scopes: Vec<Scope>,
    /// The scopes that they allow without a hold.
    pub(crate) open_without_hold: Vec<Scope>,
}

impl PermissionReport {
    /// The report for a caller who holds `held`, for a rollback from a deploy with mode `target` to
    /// a Deployment with mode `now`. `has_dbt` says whether the target's or the current revision has
    /// dbt bundles, and `hold` whether the rollback places a hold.
    pub(crate) fn new(
        principal: &Principal,
        held: PermissionSet,
        scope: Scope,
        target: DagDeployMode,
        now: DagDeployMode,
        has_dbt: bool,
        hold: bool,
    ) -> Self {
        let needed = scope::required_permissions(target, now, scope, has_dbt, hold);
        Self {
            principal: principal.clone(),
            needed,
            held: needed.intersection(held),
            missing: needed.difference(held),
            open_scopes: scope::open_scopes(held, target, now, has_dbt, hold),
            open_without_hold: scope::open_scopes(held, target, now, has_dbt, false),
        }
    }
}
