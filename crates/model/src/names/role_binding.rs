use std::fmt;
use std::str::FromStr;

use super::{NameError, ResourceName, RoleBindingId};

/// `roleBindings/{uuid}`, `workspaces/{workspace}/roleBindings/{uuid}` or
/// `workspaces/{workspace}/deployments/{deployment}/roleBindings/{uuid}`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleBindingName {
    parent: ResourceName,
    id: RoleBindingId,
}

impl RoleBindingName {
    const FORM: &'static str = "roleBindings/{uuid}, workspaces/{workspace}/roleBindings/{uuid} or \
         workspaces/{workspace}/deployments/{deployment}/roleBindings/{uuid}";

    /// The name of the binding with this id.
    #[must_use]
    pub const fn new(parent: ResourceName, id: RoleBindingId) -> Self {
        Self { parent, id }
    }

    /// The resource on which the binding gives its role.
    #[must_use]
    pub fn parent(&self) -> ResourceName {
        self.parent.clone()
    }

    /// The id of the binding.
    #[must_use]
    pub const fn id(&self) -> RoleBindingId {
        self.id
    }
}

impl FromStr for RoleBindingName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (parent, id) = ResourceName::of_child(text, "roleBindings", Self::FORM)?;
        Ok(Self {
            parent,
            id: id.parse()?,
        })
    }
}

impl fmt::Display for RoleBindingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parent.write_prefix(f)?;
        write!(f, "roleBindings/{}", self.id)
    }
}
