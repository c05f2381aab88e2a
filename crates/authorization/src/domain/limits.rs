//! How much there can be of what callers make, so that nobody fills the memory of every replica, and
//! no change takes for ever.

use std::fmt;

use model::names::{ResourceName, RoleName, ServiceAccountName};

/// A limit that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Custom roles of the resource itself.
    Roles(ResourceName),
    /// Bindings on the resource itself that have not expired.
    RoleBindings(ResourceName),
    /// Tokens of the account that count.
    ActiveTokens(ServiceAccountName),
    /// Tokens of the account that have not expired, revoked ones among them: those must be kept.
    Tokens(ServiceAccountName),
    /// Bindings of the role that go with it when it is deleted.
    DeletedWithRole(RoleName),
}

impl Limit {
    /// How many there can be.
    pub(crate) fn most(&self) -> i64 {
        match self {
            Self::Roles(_) | Self::Tokens(_) => 1_000,
            Self::RoleBindings(_) | Self::DeletedWithRole(_) => 10_000,
            Self::ActiveTokens(_) => 100,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.most();
        match self {
            Self::Roles(resource) => write!(
                f,
                "{resource} can have {most} custom roles of its own and no more: delete those that \
                 nobody needs"
            ),
            Self::RoleBindings(resource) => write!(
                f,
                "{resource} can have {most} role bindings of its own that have not expired and no \
                 more: delete those that nobody needs, or bind a group"
            ),
            Self::ActiveTokens(account) => write!(
                f,
                "{account} has {most} tokens that can be used, and there can be no more: revoke \
                 those that nobody needs"
            ),
            Self::Tokens(account) => write!(
                f,
                "{account} has {most} tokens that have not expired, with those that were revoked, \
                 and there can be no more: wait until some expire, and let new ones expire sooner"
            ),
            Self::DeletedWithRole(role) => write!(
                f,
                "{role} has more than {most} role bindings, which are too many to delete at once: \
                 delete some of them first"
            ),
        }
    }
}
