//! The whole policy in memory, and the answer to every question about it.
//!
//! | module | holds |
//! | --- | --- |
//! | [`rows`] | what is stored, and what of it cannot be used |
//! | [`build`] | from the rows to the index |
//! | [`roles`] | what each role holds, and which would bring a permission |
//! | [`standing`] | what one subject has, and the answers |
//!
//! An index is built from all roles and bindings at one policy revision and never changes. Every
//! principal, resource and role has a number; the bindings are one array, ordered by principal,
//! resource and id; a role is a mask of permissions. A question is answered by looking for the
//! bindings of the subject and of its groups on the resource and on each one above it: at most three
//! resources.
//!
//! What cannot be read grants nothing, and is told as a [`Flaw`]: a role that is not known, a
//! permission that this release does not have, a binding where its role means nothing.
//!
//! Bindings that expire are in the index, and give nothing from their time on: it is compared with
//! the clock of whoever asks, so that nothing has to be built anew when a binding expires.
//!
//! The hash tables have the standard library's hasher: names come from outside, and a faster one
//! could be made to collide.

mod build;
mod roles;
mod rows;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use model::names::{Principal, ResourceName, RoleBindingId, RoleName};
use model::permissions::{Permission, PermissionSet};

pub(crate) use self::roles::IndexedRole;
use self::roles::Roles;
pub(crate) use self::rows::{BindingRow, BuiltInRoleChangeRow, Flaw, PolicyRows, RoleRow};
pub(crate) use self::standing::Standing;
use super::decision::Decision;
use super::policy::PolicyRevision;
use super::subject::Subject;
use super::tokens::TokenId;

/// A binding that a principal has, for those who look through all of them.
#[derive(Debug)]
pub(crate) struct Holding<'a> {
    /// Where it holds.
    pub(crate) resource: &'a ResourceName,
    /// What it gives; nothing if that cannot be told.
    pub(crate) role: Option<&'a IndexedRole>,
    /// When it gives that no more; never if unset.
    pub(crate) expire_time: Option<DateTime<Utc>>,
}

/// The whole policy at one revision.
#[derive(Debug)]
pub(crate) struct Index {
    revision: PolicyRevision,
    roles: Roles,
    /// Every resource that something is bound on.
    resources: Vec<ResourceName>,
    resource_numbers: HashMap<ResourceName, u32>,
    /// Where in `bindings` those of a principal are.
    principals: HashMap<Principal, Range>,
    /// Ordered by principal, then by resource, then by id.
    bindings: Box<[Bound]>,
    /// Tokens of service accounts that were revoked and have not expired.
    revoked: HashSet<TokenId>,
}

/// A binding of the principal under which it stands.
#[derive(Clone, Copy, Debug)]
struct Bound {
    id: RoleBindingId,
    resource: u32,
    /// [`UNREADABLE`] if it is not known what it gives.
    role: u32,
    expire_time: Option<DateTime<Utc>>,
}

impl Bound {
    fn holds_at(&self, now: DateTime<Utc>) -> bool {
        self.expire_time.is_none_or(|expire_time| now < expire_time)
    }
}

#[derive(Clone, Copy, Debug)]
struct Range {
    start: usize,
    end: usize,
}

/// The number of no role.
const UNREADABLE: u32 = u32::MAX;

impl Index {
    /// The revision that it was built from.
    pub(crate) fn revision(&self) -> PolicyRevision {
        self.revision
    }

    /// Whether the token of a service account was revoked.
    pub(crate) fn revoked(&self, token: TokenId) -> bool {
        self.revoked.contains(&token)
    }

    /// The subject as the policy sees it at the time `now`, for several questions.
    pub(crate) fn standing<'a>(&'a self, subject: &'a Subject, now: DateTime<Utc>) -> Standing<'a> {
        Standing::new(self, subject, now)
    }

    /// Whether the subject holds the permission on the resource at the time `now`, and why:
    /// [`Standing::decide`].
    pub(crate) fn decide(
        &self,
        subject: &Subject,
        permission: Permission,
        resource: &ResourceName,
        now: DateTime<Utc>,
    ) -> Decision {
        self.standing(subject, now).decide(permission, resource)
    }

    /// Everything that the subject holds on the resource at the time `now`.
    pub(crate) fn held(
        &self,
        subject: &Subject,
        resource: &ResourceName,
        now: DateTime<Utc>,
    ) -> PermissionSet {
        self.standing(subject, now).held(resource)
    }

    /// Every binding that this very principal has at the time `now`, whatever its groups.
    pub(crate) fn holdings(
        &self,
        principal: &Principal,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = Holding<'_>> {
        self.bindings_of(principal)
            .iter()
            .filter(move |bound| bound.holds_at(now))
            .filter_map(|bound| {
                Some(Holding {
                    resource: self.resources.get(bound.resource as usize)?,
                    role: self.roles.get(bound.role),
                    expire_time: bound.expire_time,
                })
            })
    }

    /// The role of this name.
    pub(crate) fn role(&self, name: &RoleName) -> Option<&IndexedRole> {
        self.roles.named(name)
    }

    fn bindings_of(&self, principal: &Principal) -> &[Bound] {
        self.principals
            .get(principal)
            .and_then(|range| self.bindings.get(range.start..range.end))
            .unwrap_or_default()
    }
}
