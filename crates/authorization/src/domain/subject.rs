//! Who is checked.

use model::names::Principal;
use model::permissions::PermissionSet;

/// Who is checked: somebody, the groups that count for them, and, of a service, what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// Who it is.
    pub(crate) principal: Principal,
    /// The groups whose bindings count as well.
    pub(crate) groups: Vec<Principal>,
    /// What a service may do everywhere, by configuration. Empty for everybody else.
    pub(crate) service_permissions: PermissionSet,
}

impl Subject {
    /// Everybody whose bindings count: the subject, then its groups.
    pub(crate) fn principals(&self) -> impl Iterator<Item = &Principal> {
        std::iter::once(&self.principal).chain(&self.groups)
    }
}
