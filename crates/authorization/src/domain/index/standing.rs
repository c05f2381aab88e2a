//! What one subject has: looked up once, for any number of questions.

use chrono::{DateTime, Utc};
use model::names::{Principal, ResourceName, RoleBindingName, RoleName};
use model::permissions::{Permission, PermissionSet};

use super::{Bound, Index, IndexedRole};
use crate::domain::decision::{Decision, Denied, Expired, Granted};
use crate::domain::subject::Subject;

/// How many roles a denial names.
const MOST_ROLES_NAMED: usize = 10;

/// A subject as the policy sees it at one time.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    index: &'a Index,
    subject: &'a Subject,
    now: DateTime<Utc>,
    /// The bindings of the subject, then those of each of its groups.
    bindings: Vec<(&'a Principal, &'a [Bound])>,
}

impl<'a> Standing<'a> {
    pub(super) fn new(index: &'a Index, subject: &'a Subject, now: DateTime<Utc>) -> Self {
        // A service has nothing by bindings, whatever is stored.
        let bindings = match subject.principal {
            Principal::Service(_) => Vec::new(),
            Principal::User(_) | Principal::Group(_) | Principal::ServiceAccount(_) => subject
                .principals()
                .map(|principal| (principal, index.bindings_of(principal)))
                .filter(|(_, bindings)| !bindings.is_empty())
                .collect(),
        };
        Self {
            index,
            subject,
            now,
            bindings,
        }
    }

    /// Whether the subject holds the permission on the resource, and why.
    ///
    /// Of several bindings that give it the answer names the one on the narrowest resource, there
    /// the subject's own before its groups', there the one with the least id. Of several that gave
    /// it and have expired, the one that expired last.
    pub(crate) fn decide(&self, permission: Permission, resource: &ResourceName) -> Decision {
        let Subject {
            principal,
            groups,
            service_permissions,
        } = self.subject;
        if service_permissions.contains(permission) {
            let principal = principal.clone();
            return Decision::Allowed(Granted::ByConfiguration { principal });
        }
        let mut last_expired: Option<Giving<'_>> = None;
        for giving in self.giving(permission, resource) {
            let expire_time = giving.bound.expire_time;
            if giving.bound.holds_at(self.now) {
                return Decision::Allowed(Granted::ByBinding {
                    principal: giving.principal.clone(),
                    role: giving.role.name.clone(),
                    binding: giving.name(),
                    expire_time,
                });
            }
            if last_expired.is_none_or(|last| last.bound.expire_time < expire_time) {
                last_expired = Some(giving);
            }
        }
        let expired = last_expired.and_then(|giving| {
            Some(Expired {
                principal: giving.principal.clone(),
                role: giving.role.name.clone(),
                binding: giving.name(),
                expire_time: giving.bound.expire_time?,
            })
        });
        Decision::Denied(Denied {
            principal: principal.clone(),
            groups: groups.len(),
            permission,
            resource: resource.clone(),
            expired,
            roles: self.roles_bringing(permission, resource),
        })
    }

    /// The bindings that give the permission on the resource, or gave it until they expired.
    fn giving(
        &self,
        permission: Permission,
        resource: &ResourceName,
    ) -> impl Iterator<Item = Giving<'a>> {
        self.on_or_above(resource)
            .filter_map(move |(principal, bound)| {
                let role = self.index.roles.get(bound.role)?;
                Some(Giving {
                    resource: self.index.resources.get(bound.resource as usize)?,
                    principal,
                    bound,
                    role: role.permissions.contains(permission).then_some(role)?,
                })
            })
    }

    /// Everything that the subject holds on the resource.
    pub(crate) fn held(&self, resource: &ResourceName) -> PermissionSet {
        self.on_or_above(resource)
            .filter(|(_, bound)| bound.holds_at(self.now))
            .filter_map(|(_, bound)| self.index.roles.get(bound.role))
            .fold(self.subject.service_permissions, |held, role| {
                held.union(role.permissions)
            })
    }

    /// The roles that would bring what is missing. Custom ones are told only to those who know the
    /// resource that they belong to.
    fn roles_bringing(&self, permission: Permission, resource: &ResourceName) -> Vec<RoleName> {
        if let Principal::Service(_) = self.subject.principal {
            return Vec::new();
        }
        let visible = |resource: &ResourceName| !self.held(resource).is_empty();
        let roles = &self.index.roles;
        roles.bringing(permission, resource, MOST_ROLES_NAMED, visible)
    }

    /// The bindings on the resource and on all above it, from the narrowest resource to the system,
    /// with the principal of each.
    fn on_or_above(
        &self,
        resource: &ResourceName,
    ) -> impl Iterator<Item = (&'a Principal, &'a Bound)> {
        resource
            .ancestors()
            .filter_map(|ancestor| self.index.resource_numbers.get(&ancestor))
            .flat_map(|number| {
                self.bindings.iter().flat_map(|(principal, bindings)| {
                    on(bindings, *number)
                        .iter()
                        .map(|bound| (*principal, bound))
                })
            })
    }
}

/// A binding, and what it gives to whom and where.
#[derive(Clone, Copy)]
struct Giving<'a> {
    resource: &'a ResourceName,
    principal: &'a Principal,
    bound: &'a Bound,
    role: &'a IndexedRole,
}

impl Giving<'_> {
    fn name(&self) -> RoleBindingName {
        RoleBindingName::new(self.resource.clone(), self.bound.id)
    }
}

/// Those of one principal's bindings that are on the resource itself.
fn on(bindings: &[Bound], resource: u32) -> &[Bound] {
    let start = bindings.partition_point(|bound| bound.resource < resource);
    let rest = bindings.get(start..).unwrap_or_default();
    let end = rest.partition_point(|bound| bound.resource == resource);
    rest.get(..end).unwrap_or_default()
}
