use std::fmt;
use std::str::FromStr;

use super::{DeploymentName, NameError, Sha256Digest};

/// `workspaces/{workspace}/deployments/{deployment}/dagBundles/{sha256}`
///
/// A bundle belongs to its Deployment: the same bytes in another one have another name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DagBundleName {
    deployment: DeploymentName,
    digest: Sha256Digest,
}

impl DagBundleName {
    const FORM: &'static str =
        "workspaces/{workspace}/deployments/{deployment}/dagBundles/{sha256}";

    /// The name of the bundle whose bytes have this digest.
    #[must_use]
    pub const fn new(deployment: DeploymentName, digest: Sha256Digest) -> Self {
        Self { deployment, digest }
    }

    /// The Deployment that the bundle was uploaded for.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentName {
        &self.deployment
    }

    /// The digest of the bundle's bytes.
    #[must_use]
    pub const fn digest(&self) -> Sha256Digest {
        self.digest
    }
}

impl FromStr for DagBundleName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (deployment, digest) = DeploymentName::of_child(text, "dagBundles", Self::FORM)?;
        Ok(Self {
            deployment,
            digest: digest.parse()?,
        })
    }
}

impl fmt::Display for DagBundleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/dagBundles/{}", self.deployment, self.digest)
    }
}
