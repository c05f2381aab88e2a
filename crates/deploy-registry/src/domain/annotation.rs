use chrono::{DateTime, Utc};
use model::Principal;

/// What became known of a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Bad,
}

impl Verdict {
    const ALL: [Self; 2] = [Self::Good, Self::Bad];

    /// The text that is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "GOOD",
            Self::Bad => "BAD",
        }
    }

    /// The verdict of a stored text.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|found| found.as_str() == text)
    }
}

/// A verdict on a deploy, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
    pub(crate) by: Principal,
    pub(crate) time: DateTime<Utc>,
}

/// Keeps a deploy a possible target of a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) by: Principal,
    pub(crate) time: DateTime<Utc>,
}

/// What is to be changed about a deploy. None leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeployChanges {
    pub(crate) description: Option<String>,
    pub(crate) pinned: Option<bool>,
}
