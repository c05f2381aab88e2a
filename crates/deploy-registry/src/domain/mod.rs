//! What a Deployment, a deploy and a revision are, and every rule about them. Pure: no database, no
//! network, no protobuf.

mod blocker;
mod bundle;
mod deploy;
mod deployment;
mod expiry;
mod mount_path;
mod revision;
mod rollback;
mod shipment;
mod verification;

pub(crate) use blocker::{Blocker, BlockerCode, Facts, blockers};
pub(crate) use bundle::{Bundle, BundleSize, StoredBundle};
pub(crate) use deploy::{Deploy, DeployTrigger, DeployType, GitSource, PermitId, RollbackOrigin};
pub(crate) use deployment::{Deployment, DeploymentUid, NewDeployment, Settings};
pub(crate) use expiry::{History, Retention};
pub(crate) use mount_path::MountPath;
pub(crate) use revision::{
    Component, Image, MOST_DBT_BUNDLES, Revision, RevisionDigest, changed_components,
};
pub(crate) use rollback::{ComposedRollback, RollbackAuthor, compose};
pub(crate) use shipment::{Obstacle, Refusal, Shipment, ShippedImage};
pub(crate) use verification::{
    AskedImage, Doubt, FoundImage, ImageVerification, ImageVersions, SeenImage, Unknown,
    VerificationMode, VersionField,
};
