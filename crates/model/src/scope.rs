//! What a rollback brings back, by scope and DAG deploy mode, and the permissions that it needs.
//!
//! | mode, target → now | `ALL` | `IMAGE` | `DAGS` |
//! | --- | --- | --- | --- |
//! | `IMAGE` → `IMAGE` | image, dbt | image | dbt, or `DAGS_NOT_SEPARATE` |
//! | `DAG_ONLY` → `DAG_ONLY` | image, DAG bundle, dbt | image | DAG bundle, dbt |
//! | `GIT_SYNC` → `GIT_SYNC` | image, dbt (the DAGs stay with Git) | image | dbt, or `DAGS_NOT_SEPARATE` |
//! | `NFS` on either side | `DAG_DEPLOY_MODE_UNSUPPORTED` | the same | the same |
//! | two different modes | image, DAG bundle, dbt, mode | `DAG_DEPLOY_MODE_CHANGED` | the same |
//!
//! "Now" is the Deployment's mode at the time of the write, not that of the current deploy. Dbt
//! comes back where either revision has dbt bundles, so that a rollback also removes bundles that
//! the target did not have. The DAG bundle comes back where either mode is `DAG_ONLY`: in the other
//! modes nothing reads it.
//!
//! Permissions follow the scope, never the difference between the two revisions, so that a caller
//! knows what to ask for before anybody has looked: `IMAGE` needs `deployment.images.push`, `DAGS`
//! needs `deployment.dags.push`, `ALL` needs the first, and also the second where it can reach a
//! DAG or dbt bundle. Bringing the mode back needs no `deployment.config.update`.
//!
//! A rollback that places a hold keeps every deploy away, whatever it would ship. So it needs what
//! `ALL` needs too, whatever its scope.

use thiserror::Error;

use crate::deploys::{DagDeployMode, Scope};
use crate::permissions::{Permission, PermissionSet};

#[cfg(test)]
mod tests;

/// The parts that a rollback brings back. At least one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reach {
    /// The image, and the runtime and Airflow versions with it.
    pub image: bool,
    /// The DAG bundle.
    pub dag_bundle: bool,
    /// The dbt bundles.
    pub dbt: bool,
    /// The DAG deploy mode.
    pub mode: bool,
}

/// Why a scope is closed for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
pub enum ScopeBlocker {
    /// Scope `DAGS`, and the DAGs are not shipped apart from the image.
    #[error(
        "the DAGs of this Deployment are inside its image, or in git, and there are no dbt \
         bundles: scope DAGS has nothing to bring back; use scope ALL or IMAGE"
    )]
    DagsNotSeparate,
    /// A side whose DAGs lie on a volume.
    #[error(
        "a Deployment whose DAG deploy mode is NFS cannot be rolled back, and none can be rolled \
         back to a deploy made in that mode: make a new deploy"
    )]
    DagDeployModeUnsupported,
    /// A part of a deploy that was made with another mode.
    #[error(
        "the DAG deploy mode has changed since the target deploy: \
         only scope ALL, which brings the mode back, can cross that"
    )]
    DagDeployModeChanged,
}

/// What a rollback of `scope` brings back, from a deploy with mode `target` to a Deployment with
/// mode `now`.
///
/// `has_dbt` says whether the target's or the current revision has dbt bundles.
///
/// # Errors
///
/// The reason why the scope is closed for everyone.
pub const fn reach(
    target: DagDeployMode,
    now: DagDeployMode,
    scope: Scope,
    has_dbt: bool,
) -> Result<Reach, ScopeBlocker> {
    use DagDeployMode::{DagOnly, GitSync, Image, Nfs};

    let same_mode = match (target, now) {
        (Nfs, _) | (_, Nfs) => return Err(ScopeBlocker::DagDeployModeUnsupported),
        (Image, Image) | (DagOnly, DagOnly) | (GitSync, GitSync) => true,
        (Image, DagOnly | GitSync) | (DagOnly, Image | GitSync) | (GitSync, Image | DagOnly) => {
            false
        }
    };
    let dag_bundle = ships_dags(target) || ships_dags(now);

    match scope {
        Scope::All => Ok(Reach {
            image: true,
            dag_bundle,
            dbt: has_dbt,
            mode: !same_mode,
        }),
        Scope::Image | Scope::Dags if !same_mode => Err(ScopeBlocker::DagDeployModeChanged),
        Scope::Image => Ok(Reach {
            image: true,
            dag_bundle: false,
            dbt: false,
            mode: false,
        }),
        Scope::Dags if dag_bundle || has_dbt => Ok(Reach {
            image: false,
            dag_bundle,
            dbt: has_dbt,
            mode: false,
        }),
        Scope::Dags => Err(ScopeBlocker::DagsNotSeparate),
    }
}

/// The permissions that a rollback of `scope` needs, with or without a hold. `has_dbt` is as for
/// [`reach`].
///
/// It is defined where [`reach`] is not, so that a caller without the permission is told about the
/// permission, and learns nothing else.
#[must_use]
pub const fn required_permissions(
    target: DagDeployMode,
    now: DagDeployMode,
    scope: Scope,
    has_dbt: bool,
    hold: bool,
) -> PermissionSet {
    const IMAGES: PermissionSet = PermissionSet::of(&[Permission::DeploymentImagesPush]);
    const DAGS: PermissionSet = PermissionSet::of(&[Permission::DeploymentDagsPush]);

    let all = if has_dbt || ships_dags(target) || ships_dags(now) {
        IMAGES.union(DAGS)
    } else {
        IMAGES
    };
    let part = match scope {
        Scope::All => all,
        Scope::Image => IMAGES,
        Scope::Dags => DAGS,
    };
    if hold { part.union(all) } else { part }
}

/// The scopes that are open to a caller who holds `held`, with or without a hold: not blocked, and
/// permitted.
#[must_use]
pub fn open_scopes(
    held: PermissionSet,
    target: DagDeployMode,
    now: DagDeployMode,
    has_dbt: bool,
    hold: bool,
) -> Vec<Scope> {
    Scope::ALL
        .iter()
        .copied()
        .filter(|scope| reach(target, now, *scope, has_dbt).is_ok())
        .filter(|scope| required_permissions(target, now, *scope, has_dbt, hold).is_subset(held))
        .collect()
}

const fn ships_dags(mode: DagDeployMode) -> bool {
    match mode {
        DagDeployMode::DagOnly => true,
        DagDeployMode::Image | DagDeployMode::GitSync | DagDeployMode::Nfs => false,
    }
}
