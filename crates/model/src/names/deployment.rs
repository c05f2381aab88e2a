use std::fmt;
use std::str::FromStr;

use super::id::{self, Id};
use super::{NameError, WorkspaceName};

/// `workspaces/{workspace}/deployments/{deployment}`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeploymentName {
    workspace: WorkspaceName,
    id: Id,
}

impl DeploymentName {
    const FORM: &'static str = "workspaces/{workspace}/deployments/{deployment}";

    /// The name of the Deployment with this id.
    ///
    /// # Errors
    ///
    /// If the id does not match `^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`.
    pub fn new(workspace: &WorkspaceName, id: &str) -> Result<Self, NameError> {
        Ok(Self {
            workspace: workspace.clone(),
            id: id.parse()?,
        })
    }

    /// The workspace that the Deployment belongs to.
    #[must_use]
    pub fn workspace(&self) -> &WorkspaceName {
        &self.workspace
    }

    /// The id of the Deployment, unique in its workspace.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_str()
    }

    /// Splits `{deployment}/{collection}/{id}` into the Deployment and the id.
    pub(super) fn of_child<'a>(
        text: &'a str,
        collection: &str,
        form: &'static str,
    ) -> Result<(Self, &'a str), NameError> {
        let (parent, id) = id::split(text, collection).ok_or(NameError::Form { expected: form })?;
        let deployment = parent
            .parse()
            .map_err(|error: NameError| error.of_form(form))?;
        Ok((deployment, id))
    }
}

impl FromStr for DeploymentName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (workspace, id) = id::split(text, "deployments").ok_or(NameError::Form {
            expected: Self::FORM,
        })?;
        let workspace = workspace
            .parse()
            .map_err(|error: NameError| error.of_form(Self::FORM))?;
        Self::new(&workspace, id)
    }
}

impl fmt::Display for DeploymentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/deployments/{}", self.workspace, self.id)
    }
}
