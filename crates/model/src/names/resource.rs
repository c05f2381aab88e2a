use std::fmt;
use std::str::FromStr;

use super::NameError;
use super::id::{self, Id};

text_enum! {
    /// How wide a resource is. The narrower one is the greater one.
    pub enum Level: "level" {
        /// The whole installation.
        System = "system",
        /// One workspace and its Deployments.
        Workspace = "workspace",
        /// One Deployment.
        Deployment = "deployment",
    }
}

/// `workspaces/{workspace}`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspaceName {
    id: Id,
}

impl WorkspaceName {
    const FORM: &'static str = "workspaces/{workspace}";

    /// The name of the workspace with this id.
    ///
    /// # Errors
    ///
    /// If the id does not match `^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`.
    pub fn new(id: &str) -> Result<Self, NameError> {
        Ok(Self { id: id.parse()? })
    }

    /// The id of the workspace.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl FromStr for WorkspaceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match id::split(text, "workspaces") {
            Some(("", id)) => Self::new(id),
            Some(_) | None => Err(NameError::Form {
                expected: Self::FORM,
            }),
        }
    }
}

impl fmt::Display for WorkspaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "workspaces/{}", self.id)
    }
}

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

/// What a permission is held on: `system`, `workspaces/{workspace}` or
/// `workspaces/{workspace}/deployments/{deployment}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceName {
    /// The whole installation.
    System,
    /// One workspace and its Deployments.
    Workspace(WorkspaceName),
    /// One Deployment.
    Deployment(DeploymentName),
}

impl ResourceName {
    const FORM: &'static str =
        "system, workspaces/{workspace} or workspaces/{workspace}/deployments/{deployment}";

    /// How wide the resource is.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self {
            Self::System => Level::System,
            Self::Workspace(_) => Level::Workspace,
            Self::Deployment(_) => Level::Deployment,
        }
    }

    /// The next wider resource; none above the system.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self {
            Self::System => None,
            Self::Workspace(_) => Some(Self::System),
            Self::Deployment(name) => Some(Self::Workspace(name.workspace.clone())),
        }
    }

    /// The resource itself and everything above it, up to the system: where a binding can lie that
    /// holds for this resource.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// Parses the parent of a name whose parent can be the system, which is then not written.
    pub(super) fn from_prefix(text: &str) -> Option<Result<Self, NameError>> {
        match text {
            "" => Some(Ok(Self::System)),
            "system" => None,
            _ => Some(text.parse()),
        }
    }

    /// Writes the name as a prefix of another: the counterpart of [`Self::from_prefix`].
    pub(super) fn write_prefix(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => Ok(()),
            Self::Workspace(name) => write!(f, "{name}/"),
            Self::Deployment(name) => write!(f, "{name}/"),
        }
    }
}

impl FromStr for ResourceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let parsed = if text == "system" {
            Ok(Self::System)
        } else if id::split(text, "deployments").is_some() {
            text.parse().map(Self::Deployment)
        } else {
            text.parse().map(Self::Workspace)
        };
        parsed.map_err(|error: NameError| error.of_form(Self::FORM))
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Workspace(name) => name.fmt(f),
            Self::Deployment(name) => name.fmt(f),
        }
    }
}

impl From<WorkspaceName> for ResourceName {
    fn from(name: WorkspaceName) -> Self {
        Self::Workspace(name)
    }
}

impl From<DeploymentName> for ResourceName {
    fn from(name: DeploymentName) -> Self {
        Self::Deployment(name)
    }
}
