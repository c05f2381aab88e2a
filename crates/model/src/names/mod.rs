//! Resource names, ids, digests, image references and principals.
//!
//! A resource name follows Google's AIP-122: collections and ids in turn, separated by slashes. The
//! system itself, which has no name there, is written `system` where a resource is named, and as no
//! prefix at all where it is the parent: `roles/SYSTEM_ADMIN`.
//!
//! Every name has one spelling only, so that texts can be compared, stored and signed.

mod dag_bundle;
mod deploy;
mod deploy_number;
mod deployment;
mod digest;
mod error;
mod id;
mod image;
mod policy_file;
mod principal;
mod resource;
mod role;
mod role_binding;
mod rollback;
mod service_account;
#[cfg(test)]
mod tests;
mod workspace;

pub use dag_bundle::DagBundleName;
pub use deploy::DeployName;
pub use deploy_number::DeployNumber;
pub use deployment::DeploymentName;
pub use digest::{ImageDigest, Sha256Digest};
pub use error::NameError;
pub use id::{RequestId, RoleBindingId, RollbackId};
pub use image::{ImageRepository, ImageTag};
pub use policy_file::PolicyFileName;
pub use principal::{Principal, PrincipalId, ServiceName};
pub use resource::{Level, ResourceName};
pub use role::RoleName;
pub use role_binding::RoleBindingName;
pub use rollback::RollbackName;
pub use service_account::ServiceAccountName;
pub use workspace::WorkspaceName;
