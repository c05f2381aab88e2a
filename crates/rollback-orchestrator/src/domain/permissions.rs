//! What a caller needs for a rollback, holds and lacks.

use model::deploys::{DagDeployMode, Scope};
use model::names::Principal;
use model::permissions::PermissionSet;
use model::scope;

/// What a caller needs for a rollback, holds and lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PermissionReport {
    pub(crate) principal: Principal,
    /// For the scope that was asked for.
    pub(crate) needed: PermissionSet,
    /// Of those that are needed.
    pub(crate) held: PermissionSet,
    /// Of those that are needed.
    pub(crate) missing: PermissionSet,
    /// The scopes that the caller's permissions allow for this target.
    pub(crate) open_scopes: Vec<Scope>,
}

impl PermissionReport {
    /// The report for a caller who holds `held`, for a rollback from a deploy with mode `target` to
    /// a Deployment with mode `now`. `has_dbt` says whether the target's or the current revision has
    /// dbt bundles.
    pub(crate) fn new(
        principal: &Principal,
        held: PermissionSet,
        scope: Scope,
        target: DagDeployMode,
        now: DagDeployMode,
        has_dbt: bool,
    ) -> Self {
        let needed = scope::required_permissions(target, now, scope, has_dbt);
        Self {
            principal: principal.clone(),
            needed,
            held: needed.intersection(held),
            missing: needed.difference(held),
            open_scopes: scope::open_scopes(held, target, now, has_dbt),
        }
    }
}
