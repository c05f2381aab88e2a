//! What a Deployment, a deploy and a revision are, and every rule about them. Pure: no database, no
//! network, no protobuf.

mod agent;
mod annotation;
mod blocker;
mod bundle;
mod change;
mod deploy;
mod deployment;
mod etag;
mod expiry;
mod filter;
mod history;
mod mount_path;
mod previous;
mod report;
mod revision;
mod rollback;
mod shipment;
mod sweep;
mod verification;

pub(crate) use agent::{Agent, MOST_AGENTS};
pub(crate) use annotation::{DeployChanges, Mark, Pin, Verdict};
pub(crate) use blocker::{Blocker, BlockerCode, Facts, blockers};
pub(crate) use bundle::{Bundle, BundleObject, BundleSize, StoredBundle};
pub(crate) use change::{Change, ChangeKind, Standing};
pub(crate) use deploy::{Deploy, DeployTrigger, DeployType, GitSource, PermitId, RollbackOrigin};
pub(crate) use deployment::{
    Delivery, Deployment, DeploymentChanges, DeploymentUid, ExecutionMode, Hold, NewDeployment,
    Settings,
};
pub(crate) use expiry::Retention;
pub(crate) use filter::{DeployFilter, DeployTest, DeploymentFilter, DeploymentTest};
pub(crate) use history::History;
pub(crate) use mount_path::MountPath;
pub(crate) use previous::{Look, MOST_SEARCHED, Search};
pub(crate) use report::{Final, Report, report};
pub(crate) use revision::{
    Component, Image, MOST_DBT_BUNDLES, Revision, RevisionDigest, changed_components,
};
pub(crate) use rollback::{ComposedRollback, RollbackAuthor, compose};
pub(crate) use shipment::{Obstacle, Refusal, Shipment, ShippedImage};
pub(crate) use sweep::{Fate, UNUSED_FOR, fate};
pub(crate) use verification::{
    AskedImage, Doubt, FoundImage, ImageVerification, ImageVersions, SeenImage, Unknown,
    VerificationMode, VersionField,
};

/// Samples for tests elsewhere.
#[cfg(test)]
pub(crate) mod samples {
    pub(crate) use super::deploy::tests::deploy;
    pub(crate) use super::deployment::tests::deployment;
}
