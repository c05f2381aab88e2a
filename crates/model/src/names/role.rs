use std::fmt;
use std::str::FromStr;

use super::id::Id;
use super::{NameError, ResourceName};
use crate::roles::SystemRole;

/// `roles/{role}`, `workspaces/{workspace}/roles/{role}` or
/// `workspaces/{workspace}/deployments/{deployment}/roles/{role}`
///
/// A built-in role has an uppercase id and no parent; a custom role has a lowercase id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(Kind);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    BuiltIn(SystemRole),
    Custom { parent: ResourceName, id: Id },
}

impl RoleName {
    const FORM: &'static str = "roles/{role}, workspaces/{workspace}/roles/{role} or \
         workspaces/{workspace}/deployments/{deployment}/roles/{role}";

    /// The name of a built-in role.
    #[must_use]
    pub const fn built_in(role: SystemRole) -> Self {
        Self(Kind::BuiltIn(role))
    }

    /// The name of a custom role, defined at `parent`.
    ///
    /// # Errors
    ///
    /// If the id does not match `^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`.
    pub fn custom(parent: ResourceName, id: &str) -> Result<Self, NameError> {
        Ok(Self(Kind::Custom {
            parent,
            id: id.parse()?,
        }))
    }

    /// The built-in role, if it is one.
    #[must_use]
    pub const fn system_role(&self) -> Option<SystemRole> {
        match &self.0 {
            Kind::BuiltIn(role) => Some(*role),
            Kind::Custom { parent: _, id: _ } => None,
        }
    }

    /// Where the role is defined, and below which it can be bound.
    #[must_use]
    pub fn parent(&self) -> ResourceName {
        match &self.0 {
            Kind::BuiltIn(_) => ResourceName::System,
            Kind::Custom { parent, id: _ } => parent.clone(),
        }
    }

    /// The id of the role, unique in its parent.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.0 {
            Kind::BuiltIn(role) => role.as_str(),
            Kind::Custom { parent: _, id } => id.as_str(),
        }
    }
}

impl From<SystemRole> for RoleName {
    fn from(role: SystemRole) -> Self {
        Self::built_in(role)
    }
}

impl FromStr for RoleName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (parent, id) = ResourceName::of_child(text, "roles", Self::FORM)?;
        match (&parent, id.parse()) {
            (ResourceName::System, Ok(role)) => Ok(Self::built_in(role)),
            (
                ResourceName::System | ResourceName::Workspace(_) | ResourceName::Deployment(_),
                Ok(_) | Err(_),
            ) => Self::custom(parent, id).map_err(|_| NameError::RoleId),
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::BuiltIn(role) => write!(f, "roles/{role}"),
            Kind::Custom { parent, id } => {
                parent.write_prefix(f)?;
                write!(f, "roles/{id}")
            }
        }
    }
}
