use std::fmt;
use std::str::FromStr;

use super::{DeploymentName, NameError, RollbackId};

/// `workspaces/{workspace}/deployments/{deployment}/rollbacks/{uuid}`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollbackName {
    deployment: DeploymentName,
    id: RollbackId,
}

impl RollbackName {
    const FORM: &'static str = "workspaces/{workspace}/deployments/{deployment}/rollbacks/{uuid}";

    /// The name of the rollback with this id.
    #[must_use]
    pub const fn new(deployment: DeploymentName, id: RollbackId) -> Self {
        Self { deployment, id }
    }

    /// The Deployment that is rolled back.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentName {
        &self.deployment
    }

    /// The id of the rollback.
    #[must_use]
    pub const fn id(&self) -> RollbackId {
        self.id
    }
}

impl FromStr for RollbackName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (deployment, id) = DeploymentName::of_child(text, "rollbacks", Self::FORM)?;
        Ok(Self {
            deployment,
            id: id.parse()?,
        })
    }
}

impl fmt::Display for RollbackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/rollbacks/{}", self.deployment, self.id)
    }
}
