use std::fmt;
use std::str::FromStr;

use super::NameError;
use super::id::{self, Id};

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
