use std::fmt;
use std::str::FromStr;

use super::id::{self, Id};
use super::{NameError, ResourceName};

/// `workspaces/{workspace}/serviceAccounts/{account}` or
/// `workspaces/{workspace}/deployments/{deployment}/serviceAccounts/{account}`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAccountName {
    /// Never the system.
    parent: ResourceName,
    id: Id,
}

impl ServiceAccountName {
    const FORM: &'static str = "workspaces/{workspace}/serviceAccounts/{account} or \
         workspaces/{workspace}/deployments/{deployment}/serviceAccounts/{account}";

    /// The name of the service account with this id.
    ///
    /// # Errors
    ///
    /// If the parent is the system, or the id does not match `^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`.
    pub fn new(parent: ResourceName, id: &str) -> Result<Self, NameError> {
        match &parent {
            ResourceName::System => Err(NameError::Form {
                expected: Self::FORM,
            }),
            ResourceName::Workspace(_) | ResourceName::Deployment(_) => Ok(Self {
                id: id.parse()?,
                parent,
            }),
        }
    }

    /// The workspace or Deployment that the account belongs to.
    #[must_use]
    pub fn parent(&self) -> ResourceName {
        self.parent.clone()
    }

    /// The id of the account, unique in its parent.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl FromStr for ServiceAccountName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (parent, id) = id::split(text, "serviceAccounts").ok_or(NameError::Form {
            expected: Self::FORM,
        })?;
        let parent = parent
            .parse()
            .map_err(|error: NameError| error.of_form(Self::FORM))?;
        Self::new(parent, id)
    }
}

impl fmt::Display for ServiceAccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/serviceAccounts/{}", self.parent, self.id)
    }
}
