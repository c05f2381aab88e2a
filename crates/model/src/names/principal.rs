use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{NameError, ServiceAccountName};

text_enum! {
    /// One of the services of Reprise.
    pub enum ServiceName: "service" {
        /// Roles, bindings, checks, permits and tokens.
        Authorization = "authorization",
        /// Deployments, deploys and artifacts.
        DeployRegistry = "deploy-registry",
        /// Plans and rollbacks.
        RollbackOrchestrator = "rollback-orchestrator",
    }
}

/// The id of a user or group, as an identity provider gives it: 1 to 256 bytes, no white space, no
/// control character. Compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalId(Arc<str>);

impl PrincipalId {
    /// The text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PrincipalId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = |c: char| c.is_whitespace() || c.is_control();
        let valid = (1..=256).contains(&text.len()) && !text.contains(refused);
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(NameError::PrincipalId)
        }
    }
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who does something, or holds a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A person: `user:alice@example.com`.
    User(PrincipalId),
    /// Everybody whose token names the group: `group:data-eng`.
    Group(PrincipalId),
    /// A machine that a workspace or Deployment owns:
    /// `service-account:workspaces/w/serviceAccounts/ci`.
    ServiceAccount(ServiceAccountName),
    /// A service of Reprise: `service:rollback-orchestrator`.
    Service(ServiceName),
}

impl Principal {
    /// The user with this id.
    ///
    /// # Errors
    ///
    /// If the id is not a [`PrincipalId`].
    pub fn user(id: &str) -> Result<Self, NameError> {
        id.parse().map(Self::User)
    }

    /// The group with this id.
    ///
    /// # Errors
    ///
    /// If the id is not a [`PrincipalId`].
    pub fn group(id: &str) -> Result<Self, NameError> {
        id.parse().map(Self::Group)
    }
}

impl FromStr for Principal {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (kind, id) = text.split_once(':').ok_or(NameError::PrincipalKind)?;
        match kind {
            "user" => Self::user(id),
            "group" => Self::group(id),
            "service-account" => id.parse().map(Self::ServiceAccount),
            "service" => id
                .parse()
                .map(Self::Service)
                .map_err(|_| NameError::ServiceName),
            _ => Err(NameError::PrincipalKind),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Group(id) => write!(f, "group:{id}"),
            Self::ServiceAccount(name) => write!(f, "service-account:{name}"),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}
