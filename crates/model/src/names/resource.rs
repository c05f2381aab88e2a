use std::fmt;
use std::str::FromStr;

use super::{DeploymentName, NameError, WorkspaceName, id};

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
            Self::Deployment(name) => Some(Self::Workspace(name.workspace().clone())),
        }
    }

    /// The resource itself and everything above it, up to the system: where a binding can lie that
    /// holds for this resource.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// Splits `{resource}/{collection}/{id}` into the resource and the id. The system is not
    /// written: `{collection}/{id}`.
    pub(super) fn of_child<'a>(
        text: &'a str,
        collection: &str,
        form: &'static str,
    ) -> Result<(Self, &'a str), NameError> {
        let parent = match id::split(text, collection) {
            Some(("", id)) => return Ok((Self::System, id)),
            Some(("system", _)) | None => return Err(NameError::Form { expected: form }),
            Some((parent, id)) => parent.parse().map(|parent| (parent, id)),
        };
        parent.map_err(|error: NameError| error.of_form(form))
    }

    /// Writes the name as a prefix of another: the counterpart of [`Self::of_child`].
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
