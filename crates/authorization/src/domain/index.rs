//! The whole policy in memory, and the answer to every question about it.
//!
//! An index is built from all roles and bindings at one policy revision and never changes. For each
//! principal it has the bindings, ordered by resource; for each role one mask of permissions. A
//! question is answered by looking for the bindings of the subject and of its groups on the
//! resource and on each one above it: at most three resources.
//!
//! What cannot be read grants nothing, and is told as a [`Flaw`]: a role that is not known, a
//! permission that this release does not have, a binding where its role means nothing.
//!
//! Bindings that expire are in the index, and give nothing from their time on: it is compared with
//! the clock of whoever asks, so that nothing has to be built anew when a binding expires.

mod build;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use model::names::{Principal, ResourceName, RoleBindingId, RoleBindingName, RoleName};
use model::permissions::{Permission, PermissionSet};

use self::build::Builder;
pub(crate) use self::build::{BindingRow, Flaw, PolicyRows, RoleRow};
use super::decision::{Decision, Denied, Granted};
use super::policy::PolicyRevision;
use super::subject::Subject;
use super::tokens::TokenId;

/// A role and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexedRole {
    /// Its name.
    pub(crate) name: RoleName,
    /// All of it that could be read.
    pub(crate) permissions: PermissionSet,
    /// Whether that is all of it.
    pub(crate) complete: bool,
}

/// A binding that a principal has, for those who look through all of them.
#[derive(Debug)]
pub(crate) struct Holding<'a> {
    /// Where it holds.
    pub(crate) resource: &'a ResourceName,
    /// What it gives; nothing if that cannot be told.
    pub(crate) role: Option<&'a IndexedRole>,
}

/// The whole policy at one revision.
#[derive(Debug)]
pub(crate) struct Index {
    revision: PolicyRevision,
    /// The built-in roles, then the custom ones.
    roles: Vec<IndexedRole>,
    role_numbers: HashMap<RoleName, u32>,
    /// Every resource that something is bound on.
    resources: Vec<ResourceName>,
    resource_numbers: HashMap<ResourceName, u32>,
    /// Ordered by resource, then by id.
    bindings: HashMap<Principal, Box<[Bound]>>,
    /// Tokens of service accounts that were revoked and have not expired.
    revoked: HashSet<TokenId>,
}

/// A binding of the principal under which it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bound {
    resource: u32,
    id: RoleBindingId,
    /// [`UNREADABLE`] if it is not known what it gives.
    role: u32,
    expire_time: Option<DateTime<Utc>>,
}

impl Bound {
    fn holds_at(&self, now: DateTime<Utc>) -> bool {
        self.expire_time.is_none_or(|expire_time| now < expire_time)
    }
}

/// The number of no role.
const UNREADABLE: u32 = u32::MAX;

impl Index {
    /// Builds the index, and tells what it had to leave out.
    pub(crate) fn build(rows: PolicyRows) -> (Self, Vec<Flaw>) {
        let PolicyRows {
            revision,
            roles,
            bindings,
            revoked,
        } = rows;
        let mut builder = Builder::new(revision);
        for role in roles {
            builder.add_role(role);
        }
        for binding in bindings {
            builder.add_binding(&binding);
        }
        builder.revoke(revoked);
        builder.finish()
    }

    /// The revision that it was built from.
    pub(crate) fn revision(&self) -> PolicyRevision {
        self.revision
    }

    /// Whether the token of a service account was revoked.
    pub(crate) fn revoked(&self, token: TokenId) -> bool {
        self.revoked.contains(&token)
    }

    /// Whether the subject holds the permission on the resource at the time `now`, and why.
    ///
    /// Of several bindings that give it the answer names the one on the narrowest resource, there
    /// the subject's own before its groups', there the one with the least id.
    pub(crate) fn decide(
        &self,
        subject: &Subject,
        permission: Permission,
        resource: &ResourceName,
        now: DateTime<Utc>,
    ) -> Decision {
        self.find(subject, permission, resource, now).map_or_else(
            || {
                Decision::Denied(Denied {
                    principal: subject.principal.clone(),
                    groups: subject.groups.len(),
                    permission,
                    resource: resource.clone(),
                })
            },
            Decision::Allowed,
        )
    }

    /// Everything that the subject holds on the resource at the time `now`.
    pub(crate) fn held(
        &self,
        subject: &Subject,
        resource: &ResourceName,
        now: DateTime<Utc>,
    ) -> PermissionSet {
        if let Principal::Service(_) = subject.principal {
            return subject.service_permissions;
        }
        resource
            .ancestors()
            .filter_map(|ancestor| self.resource_numbers.get(&ancestor).copied())
            .flat_map(|number| {
                subject
                    .principals()
                    .flat_map(move |principal| self.bound_on(principal, number))
            })
            .filter(|bound| bound.holds_at(now))
            .filter_map(|bound| self.role_of(bound))
            .fold(PermissionSet::EMPTY, |held, role| {
                held.union(role.permissions)
            })
    }

    /// Every binding that this very principal has at the time `now`, whatever its groups.
    pub(crate) fn holdings(
        &self,
        principal: &Principal,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = Holding<'_>> {
        self.bindings
            .get(principal)
            .map_or(&[][..], |bindings| bindings)
            .iter()
            .filter(move |bound| bound.holds_at(now))
            .filter_map(|bound| {
                let resource = self.resources.get(bound.resource as usize)?;
                Some(Holding {
                    resource,
                    role: self.role_of(bound),
                })
            })
    }

    /// The role of this name.
    pub(crate) fn role(&self, name: &RoleName) -> Option<&IndexedRole> {
        let number = self.role_numbers.get(name)?;
        self.roles.get(*number as usize)
    }

    fn find(
        &self,
        subject: &Subject,
        permission: Permission,
        resource: &ResourceName,
        now: DateTime<Utc>,
    ) -> Option<Granted> {
        if let Principal::Service(_) = subject.principal {
            return subject.service_permissions.contains(permission).then(|| {
                Granted::ByConfiguration {
                    principal: subject.principal.clone(),
                }
            });
        }
        for ancestor in resource.ancestors() {
            let Some(number) = self.resource_numbers.get(&ancestor) else {
                continue;
            };
            for principal in subject.principals() {
                for bound in self.bound_on(principal, *number) {
                    let Some(role) = self.role_of(bound) else {
                        continue;
                    };
                    if role.permissions.contains(permission) && bound.holds_at(now) {
                        return Some(Granted::ByBinding {
                            principal: principal.clone(),
                            role: role.name.clone(),
                            binding: RoleBindingName::new(ancestor, bound.id),
                            expire_time: bound.expire_time,
                        });
                    }
                }
            }
        }
        None
    }

    /// The bindings of the principal on the resource itself.
    fn bound_on(&self, principal: &Principal, resource: u32) -> &[Bound] {
        let Some(bindings) = self.bindings.get(principal) else {
            return &[];
        };
        let start = bindings.partition_point(|bound| bound.resource < resource);
        let rest = bindings.get(start..).unwrap_or_default();
        let end = rest.partition_point(|bound| bound.resource == resource);
        rest.get(..end).unwrap_or_default()
    }

    fn role_of(&self, bound: &Bound) -> Option<&IndexedRole> {
        self.roles.get(bound.role as usize)
    }
}
