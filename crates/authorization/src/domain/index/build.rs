//! From the rows of the store to an index.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use chrono::DateTime;
use model::names::{NameError, Principal, ResourceName, RoleBindingId, RoleName};
use model::permissions::{Permission, PermissionSet};
use model::roles::SystemRole;
use thiserror::Error;

use super::{Bound, Index, IndexedRole, UNREADABLE};
use crate::domain::policy::{PolicyRevision, Unbindable, check_bindable};
use crate::domain::tokens::TokenId;

/// All of the policy at one revision, as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct PolicyRows {
    /// The revision.
    pub(crate) revision: PolicyRevision,
    /// The custom roles.
    pub(crate) roles: Vec<RoleRow>,
    /// The bindings.
    pub(crate) bindings: Vec<BindingRow>,
    /// The tokens of service accounts that were revoked and have not expired.
    pub(crate) revoked: Vec<TokenId>,
}

/// A custom role as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct RoleRow {
    /// Its name.
    pub(crate) name: String,
    /// The names of its permissions; none if the document cannot be read.
    pub(crate) permissions: Option<Vec<String>>,
}

/// A binding as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct BindingRow {
    /// The last part of its name.
    pub(crate) id: RoleBindingId,
    /// Where it holds.
    pub(crate) resource: String,
    /// Whom it is for.
    pub(crate) principal: String,
    /// What it gives.
    pub(crate) role: String,
    /// From when on it gives nothing, in microseconds since 1970.
    pub(crate) expire_time: Option<i64>,
}

/// Something stored that cannot be read, or must not count, and therefore grants nothing.
#[derive(Debug, Error)]
pub(crate) enum Flaw {
    /// A role whose name is none.
    #[error("role {name:?} has no valid name")]
    RoleName {
        /// What is stored.
        name: String,
        /// What is wrong.
        source: NameError,
    },
    /// A role whose permissions are not all known, or not allowed in it.
    #[error("role {role} holds what it cannot: {what}")]
    Permissions {
        /// The role.
        role: RoleName,
        /// What cannot be read.
        what: String,
    },
    /// A binding whose resource, principal or role is no name.
    #[error("binding {id} has no valid {part}")]
    Binding {
        /// The binding.
        id: RoleBindingId,
        /// Which part.
        part: &'static str,
        /// What is wrong.
        source: NameError,
    },
    /// A binding that expires at no time that there is.
    #[error("binding {id} expires at {micros} microseconds, which is no time")]
    ExpireTime {
        /// The binding.
        id: RoleBindingId,
        /// What is stored.
        micros: i64,
    },
    /// A binding of a role that is not there.
    #[error("binding {id} is of {role}, which does not exist")]
    UnknownRole {
        /// The binding.
        id: RoleBindingId,
        /// The role.
        role: String,
    },
    /// A binding for somebody who cannot be bound.
    #[error("binding {id} is for a service, which has its permissions by configuration")]
    Service {
        /// The binding.
        id: RoleBindingId,
    },
    /// A binding where its role means nothing.
    #[error("binding {id} does not fit")]
    Unbindable {
        /// The binding.
        id: RoleBindingId,
        /// Why not.
        source: Unbindable,
    },
}

pub(super) struct Builder {
    index: Index,
    bindings: HashMap<Principal, Vec<Bound>>,
    flaws: Vec<Flaw>,
}

impl Builder {
    pub(super) fn new(revision: PolicyRevision) -> Self {
        let mut builder = Self {
            index: Index {
                revision,
                roles: Vec::new(),
                role_numbers: HashMap::new(),
                resources: Vec::new(),
                resource_numbers: HashMap::new(),
                bindings: HashMap::new(),
                revoked: HashSet::new(),
            },
            bindings: HashMap::new(),
            flaws: Vec::new(),
        };
        for role in SystemRole::ALL {
            builder.insert_role(IndexedRole {
                name: RoleName::built_in(*role),
                permissions: role.permissions(),
                complete: true,
            });
        }
        builder
    }

    pub(super) fn add_role(&mut self, row: RoleRow) {
        let RoleRow { name, permissions } = row;
        let name = match name.parse::<RoleName>() {
            Ok(name) => name,
            Err(source) => return self.flaws.push(Flaw::RoleName { name, source }),
        };
        // Whoever writes to the database by hand cannot give what no role may hold, nor take the
        // place of a role that is built in.
        let grantable = PermissionSet::grantable_at(name.parent().level());
        let mut readable = PermissionSet::EMPTY;
        let mut complete = true;
        let mut flaw = |what: &str| {
            complete = false;
            self.flaws.push(Flaw::Permissions {
                role: name.clone(),
                what: what.to_owned(),
            });
        };
        match permissions {
            None => flaw("a document of unknown form"),
            Some(_) if name.system_role().is_some() => flaw("it is built in"),
            Some(permissions) => {
                for text in permissions {
                    match text.parse::<Permission>() {
                        Ok(permission) if grantable.contains(permission) => {
                            readable.insert(permission);
                        }
                        Ok(_) | Err(_) => flaw(&text),
                    }
                }
            }
        }
        if name.system_role().is_none() {
            self.insert_role(IndexedRole {
                name,
                permissions: readable,
                complete,
            });
        }
    }

    fn insert_role(&mut self, role: IndexedRole) {
        let number = number(self.index.roles.len());
        self.index.role_numbers.insert(role.name.clone(), number);
        self.index.roles.push(role);
    }

    pub(super) fn add_binding(&mut self, row: &BindingRow) {
        match self.read_binding(row) {
            Ok((principal, bound)) => self.bindings.entry(principal).or_default().push(bound),
            Err(flaw) => self.flaws.push(flaw),
        }
    }

    fn read_binding(&mut self, row: &BindingRow) -> Result<(Principal, Bound), Flaw> {
        let BindingRow {
            id,
            resource,
            principal,
            role,
            expire_time,
        } = row;
        let id = *id;
        let invalid = |part| move |source| Flaw::Binding { id, part, source };
        let resource = resource
            .parse::<ResourceName>()
            .map_err(invalid("resource"))?;
        let principal = principal
            .parse::<Principal>()
            .map_err(invalid("principal"))?;
        if let Principal::Service(_) = principal {
            return Err(Flaw::Service { id });
        }
        let known = role
            .parse::<RoleName>()
            .ok()
            .and_then(|name| self.role_numbered(&name));
        let role = match known {
            Some((number, role)) => {
                check_bindable(&role.name, role.permissions, &resource)
                    .map_err(|source| Flaw::Unbindable { id, source })?;
                number
            }
            // It stays in the index as one of the principal's bindings that nobody can judge.
            None => {
                self.flaws.push(Flaw::UnknownRole {
                    id,
                    role: role.clone(),
                });
                UNREADABLE
            }
        };
        let expire_time = match expire_time {
            None => None,
            Some(micros) => match DateTime::from_timestamp_micros(*micros) {
                Some(time) => Some(time),
                None => {
                    return Err(Flaw::ExpireTime {
                        id,
                        micros: *micros,
                    });
                }
            },
        };
        Ok((
            principal,
            Bound {
                resource: self.resource_number(resource),
                id,
                role,
                expire_time,
            },
        ))
    }

    pub(super) fn revoke(&mut self, tokens: Vec<TokenId>) {
        self.index.revoked = tokens.into_iter().collect();
    }

    fn role_numbered(&self, name: &RoleName) -> Option<(u32, &IndexedRole)> {
        let number = *self.index.role_numbers.get(name)?;
        Some((number, self.index.roles.get(number as usize)?))
    }

    fn resource_number(&mut self, resource: ResourceName) -> u32 {
        let next = number(self.index.resources.len());
        match self.index.resource_numbers.entry(resource) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                self.index.resources.push(entry.key().clone());
                *entry.insert(next)
            }
        }
    }

    pub(super) fn finish(self) -> (Index, Vec<Flaw>) {
        let Self {
            mut index,
            bindings,
            flaws,
        } = self;
        index.bindings = bindings
            .into_iter()
            .map(|(principal, mut bindings)| {
                bindings.sort_unstable();
                (principal, bindings.into_boxed_slice())
            })
            .collect();
        (index, flaws)
    }
}

/// What does not fit is [`UNREADABLE`], and so grants nothing. Memory ends long before.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(UNREADABLE)
}
