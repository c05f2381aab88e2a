//! The rules of Reprise that more than one service needs, as pure functions and plain data.
//!
//! # Layout
//!
//! | module | holds |
//! | --- | --- |
//! | [`names`] | resource names, ids, digests, image references and principals |
//! | [`permissions`], [`roles`] | every permission, sets of them, and the roles that are built in |
//! | [`services`] | what the services themselves may do |
//! | [`deploys`] | a Deployment's DAG deploy mode, a rollback's scope, a deploy's state |
//! | [`scope`] | what a rollback of a scope brings back, and the permissions that it needs |
//! | [`runtime`], [`catalog`] | Astro Runtime and Apache Airflow versions, and which ships which |
//! | [`comparison`] | what lists are filtered by |
//! | [`compatibility`] | from which version a rollback may lead to which |
//! | [`metadata`] | the Airflow metadata migrations that a downgrade reverts |
//!
//! # Invariants
//!
//! - Nothing here does I/O, reads a clock, or makes up an id.
//! - A value that exists is valid: every type with a rule has private fields and a checked
//!   constructor. Whoever holds one need not check again.
//! - A name has one spelling. Printing a value and parsing the text gives an equal value.
//! - No input panics, whatever the text and however long.
//! - A rule that cannot be evaluated refuses. No version is ever guessed from arithmetic.

#[macro_use]
mod text;

pub mod catalog;
pub mod comparison;
pub mod compatibility;
pub mod deploys;
#[cfg(test)]
mod documented;
pub mod metadata;
pub mod names;
pub mod permissions;
pub mod roles;
pub mod runtime;
pub mod scope;
pub mod services;

pub use catalog::{Catalog, CatalogEntry};
pub use compatibility::{RULES_VERSION, RunsOn, VersionBlocker};
pub use deploys::{DagDeployMode, DeployState, Scope};
pub use names::{
    DagBundleName, DeployName, DeployNumber, DeploymentName, ImageDigest, ImageRepository,
    ImageTag, Level, NameError, Principal, PrincipalId, RequestId, ResourceName, RoleBindingId,
    RoleBindingName, RoleName, RollbackId, RollbackName, ServiceAccountName, ServiceName,
    Sha256Digest, WorkspaceName,
};
pub use permissions::{Permission, PermissionSet};
pub use roles::SystemRole;
pub use runtime::{AirflowRelease, AirflowSeries, AirflowVersion, RuntimeVersion, VersionError};
pub use scope::{Reach, ScopeBlocker};
pub use text::UnknownValue;
