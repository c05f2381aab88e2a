//! Resource names, ids, digests, image references and principals.
//!
//! A resource name follows Google's AIP-122: collections and ids in turn, separated by slashes. The
//! system itself, which has no name there, is written `system` where a resource is named, and as no
//! prefix at all where it is the parent: `roles/SYSTEM_ADMIN`.
//!
//! Every name has one spelling only, so that texts can be compared, stored and signed.

mod deploy;
mod digest;
mod error;
mod id;
mod image;
mod principal;
mod resource;
mod role;
mod service_account;

pub use deploy::{DagBundleName, DeployName, DeployNumber, RollbackName};
pub use digest::{ImageDigest, Sha256Digest};
pub use error::NameError;
pub use id::{RequestId, RoleBindingId, RollbackId};
pub use image::{ImageRepository, ImageTag};
pub use principal::{Principal, PrincipalId, ServiceName};
pub use resource::{DeploymentName, Level, ResourceName, WorkspaceName};
pub use role::{RoleBindingName, RoleName};
pub use service_account::ServiceAccountName;
