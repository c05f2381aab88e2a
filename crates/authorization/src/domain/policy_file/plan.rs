//! What has to change so that all is as a policy file says.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use model::names::{PolicyFileName, ResourceName, RoleBindingId, RoleBindingName, RoleName};
use model::permissions::{Permission, PermissionSet};
use model::roles::{RoleChanges, SystemRole};

use super::{BindingKey, FileBinding, FileRole, PolicyFile};
use crate::domain::policy::{Role, RoleBinding};
use crate::domain::policy_change::{Author, Change};

/// What there is at one revision of the policy, as far as it concerns a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Current {
    /// All that policy files say of built-in roles.
    pub(crate) built_in_roles: BTreeMap<(SystemRole, Permission), BuiltInEntry>,
    /// The custom roles that the file names, and those that it has brought.
    pub(crate) roles: BTreeMap<RoleName, Role>,
    /// The bindings that the file names, those that it has brought, those of roles that can change
    /// by it, and those of administrators of the system.
    pub(crate) bindings: BTreeMap<BindingKey, RoleBinding>,
}

/// What a policy file says of a permission of a built-in role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BuiltInEntry {
    /// Whether the role holds it.
    pub(crate) held: bool,
    /// The file.
    pub(crate) managed_by: PolicyFileName,
}

/// Everything that has to change, in an order in which it can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What is to be written.
    pub(crate) steps: Vec<Step>,
    /// What built-in roles differ in once it is.
    pub(super) role_changes: RoleChanges,
}

/// One thing to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A binding goes.
    DeleteBinding(RoleBinding),
    /// A role goes, of which no binding is left.
    DeleteRole(Role),
    /// What the file says of built-in roles takes the place of all that it said before.
    ChangeBuiltInRoles {
        /// What it says.
        entries: BTreeMap<(SystemRole, Permission), bool>,
        /// What comes of it.
        changed: Vec<BuiltInChange>,
    },
    /// A role comes.
    CreateRole(Role),
    /// A role changes.
    UpdateRole {
        /// What it was.
        before: Role,
        /// What it will be.
        after: Role,
    },
    /// A binding comes.
    CreateBinding(RoleBinding),
    /// A binding changes.
    UpdateBinding {
        /// What it was.
        before: RoleBinding,
        /// What it will be.
        after: RoleBinding,
    },
}

/// What a built-in role gains and loses: nothing, if only what is said of it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BuiltInChange {
    pub(crate) role: SystemRole,
    pub(crate) added: PermissionSet,
    pub(crate) removed: PermissionSet,
}

/// Finds out what has to change.
///
/// - What the file says and is not there is created; what differs is changed, and carries the file's
///   name from now on, whoever made it.
/// - What the file has brought and does not say any more is deleted.
/// - A binding that has expired counts as not said: it goes if the file has brought it.
///
/// Whether all of it may be is another question: [`Plan::check`].
pub(crate) fn plan(
    file: &PolicyFile,
    current: &Current,
    author: &Author,
    new_id: impl FnMut() -> RoleBindingId,
) -> Plan {
    let deleted_roles = deleted_roles(file, current);
    let role_changes = role_changes(file, current);
    let mut steps = Vec::new();
    steps.extend(deleted_bindings(file, current, &deleted_roles, author.time));
    steps.extend(deleted_roles.into_values().cloned().map(Step::DeleteRole));
    steps.extend(changed_built_in_roles(file, current, &role_changes));
    steps.extend(wanted_roles(file, current, author));
    steps.extend(wanted_bindings(file, current, author, new_id));
    Plan {
        steps,
        role_changes,
    }
}

fn deleted_roles<'a>(file: &PolicyFile, current: &'a Current) -> BTreeMap<&'a RoleName, &'a Role> {
    current
        .roles
        .iter()
        .filter(|(name, role)| {
            role.managed_by.as_ref() == Some(&file.name) && !file.roles.contains_key(name)
        })
        .collect()
}

fn deleted_bindings(
    file: &PolicyFile,
    current: &Current,
    deleted_roles: &BTreeMap<&RoleName, &Role>,
    now: DateTime<Utc>,
) -> impl Iterator<Item = Step> {
    let deleted = current.bindings.iter().filter(move |(key, binding)| {
        let wanted = file.wants(key, now);
        let brought = binding.managed_by.as_ref() == Some(&file.name);
        let left_over = binding.expired(now) && deleted_roles.contains_key(&binding.role);
        !wanted && (brought || left_over)
    });
    deleted.map(|(_, binding)| Step::DeleteBinding(binding.clone()))
}

/// What built-in roles will differ in: what this file says, and what the others do.
fn role_changes(file: &PolicyFile, current: &Current) -> RoleChanges {
    let others = current
        .built_in_roles
        .iter()
        .filter(|(_, entry)| entry.managed_by != file.name)
        .map(|(key, entry)| (*key, entry.held));
    let own = file.built_in_roles.iter().map(|(key, held)| (*key, *held));
    collected(own.chain(others))
}

/// What cannot be, is left out: as the index does.
fn collected(entries: impl Iterator<Item = ((SystemRole, Permission), bool)>) -> RoleChanges {
    let mut changes = RoleChanges::default();
    for ((role, permission), held) in entries {
        let _ = changes.set(role, permission, held);
    }
    changes
}

fn changed_built_in_roles(
    file: &PolicyFile,
    current: &Current,
    after: &RoleChanges,
) -> Option<Step> {
    let said = current
        .built_in_roles
        .iter()
        .filter(|(_, entry)| entry.managed_by == file.name)
        .map(|(key, entry)| (*key, entry.held))
        .collect::<BTreeMap<_, _>>();
    if said == file.built_in_roles {
        return None;
    }
    let all = current.built_in_roles.iter();
    let before = collected(all.map(|(key, entry)| (*key, entry.held)));
    let spoken_of = said
        .iter()
        .filter(|(key, held)| file.built_in_roles.get(key) != Some(held))
        .chain(
            file.built_in_roles
                .iter()
                .filter(|(key, held)| said.get(key) != Some(held)),
        )
        .map(|((role, _), _)| *role)
        .collect::<BTreeSet<_>>();
    let changed = SystemRole::ALL.iter().copied().filter_map(|role| {
        let before = role.permissions_with(&before);
        let after = role.permissions_with(after);
        (before != after || spoken_of.contains(&role)).then(|| BuiltInChange {
            role,
            added: after.difference(before),
            removed: before.difference(after),
        })
    });
    Some(Step::ChangeBuiltInRoles {
        entries: file.built_in_roles.clone(),
        changed: changed.collect(),
    })
}

fn wanted_roles(
    file: &PolicyFile,
    current: &Current,
    author: &Author,
) -> impl Iterator<Item = Step> {
    file.roles.iter().filter_map(|(name, role)| {
        let FileRole {
            display_name,
            description,
            permissions,
        } = role;
        let existing = current.roles.get(name);
        let (created_by, create_time) = existing.map_or_else(
            || (author.principal.clone(), author.time),
            |existing| (existing.created_by.clone(), existing.create_time),
        );
        let wanted = Role {
            name: name.clone(),
            display_name: display_name.clone(),
            description: description.clone(),
            permissions: *permissions,
            created_by,
            create_time,
            updated_by: author.principal.clone(),
            update_time: author.time,
            managed_by: Some(file.name.clone()),
        };
        match existing {
            None => Some(Step::CreateRole(wanted)),
            Some(existing) if same(existing, &wanted) => None,
            Some(existing) => Some(Step::UpdateRole {
                before: existing.clone(),
                after: wanted,
            }),
        }
    })
}

/// Whether two roles of one name differ in nothing but who changed them and when.
fn same(one: &Role, other: &Role) -> bool {
    said(one) == said(other)
}

fn said(role: &Role) -> (&str, &str, PermissionSet, Option<&PolicyFileName>) {
    let Role {
        name: _,
        display_name,
        description,
        permissions,
        created_by: _,
        create_time: _,
        updated_by: _,
        update_time: _,
        managed_by,
    } = role;
    (display_name, description, *permissions, managed_by.as_ref())
}

fn wanted_bindings(
    file: &PolicyFile,
    current: &Current,
    author: &Author,
    mut new_id: impl FnMut() -> RoleBindingId,
) -> impl Iterator<Item = Step> {
    file.wanted_bindings(author.time)
        .filter_map(move |(key, wanted)| {
            let managed_by = Some(file.name.clone());
            let expire_time = wanted.expire_time;
            let Some(existing) = current.bindings.get(key) else {
                let BindingKey {
                    resource,
                    principal,
                    role,
                } = key.clone();
                return Some(Step::CreateBinding(RoleBinding {
                    name: RoleBindingName::new(resource, new_id()),
                    principal,
                    role,
                    created_by: author.principal.clone(),
                    create_time: author.time,
                    expire_time,
                    managed_by,
                }));
            };
            let mut after = existing.clone();
            after.expire_time = expire_time;
            after.managed_by = managed_by;
            (after != *existing).then(|| Step::UpdateBinding {
                before: existing.clone(),
                after,
            })
        })
}

impl PolicyFile {
    /// The bindings of the file that have not expired.
    pub(super) fn wanted_bindings(
        &self,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = (&BindingKey, &FileBinding)> {
        self.bindings
            .iter()
            .filter(move |(_, binding)| !binding.expired(now))
    }

    /// Whether the file says that there is such a binding.
    pub(super) fn wants(&self, key: &BindingKey, now: DateTime<Utc>) -> bool {
        let said = self.bindings.get(key);
        said.is_some_and(|binding| !binding.expired(now))
    }

    /// Every resource that the file says something of.
    pub(crate) fn resources(&self) -> BTreeSet<ResourceName> {
        let built_in = (!self.built_in_roles.is_empty()).then_some(ResourceName::System);
        let roles = self.roles.keys().map(RoleName::parent);
        let bindings = self.bindings.keys().map(|key| key.resource.clone());
        built_in.into_iter().chain(roles).chain(bindings).collect()
    }
}

impl FileBinding {
    fn expired(&self, now: DateTime<Utc>) -> bool {
        self.expire_time.is_some_and(|time| time <= now)
    }
}

impl Plan {
    /// Whether all is as the file says.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The changes, as they are told and recorded.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.steps.iter().flat_map(Step::changes).collect()
    }

    /// Every resource where something changes.
    pub(crate) fn resources(&self) -> BTreeSet<ResourceName> {
        self.changes().iter().map(Change::resource).collect()
    }
}

impl Step {
    fn changes(&self) -> Vec<Change> {
        let change = match self {
            Self::DeleteBinding(binding) => Change::RoleBindingDeleted(binding.clone()),
            Self::DeleteRole(role) => Change::RoleDeleted {
                role: role.name.clone(),
                permissions: role.permissions,
            },
            Self::ChangeBuiltInRoles {
                entries: _,
                changed,
            } => return changed.iter().map(BuiltInChange::change).collect(),
            Self::CreateRole(role) => Change::RoleCreated {
                role: role.name.clone(),
                permissions: role.permissions,
            },
            Self::UpdateRole { before, after } => Change::RoleUpdated {
                role: after.name.clone(),
                added: after.permissions.difference(before.permissions),
                removed: before.permissions.difference(after.permissions),
            },
            Self::CreateBinding(binding) => Change::RoleBindingCreated(binding.clone()),
            Self::UpdateBinding { before: _, after } => Change::RoleBindingUpdated(after.clone()),
        };
        vec![change]
    }
}

impl Step {
    /// The binding that the step is about, as it was and as it will be.
    pub(super) fn binding(&self) -> (Option<&RoleBinding>, Option<&RoleBinding>) {
        match self {
            Self::CreateBinding(after) => (None, Some(after)),
            Self::UpdateBinding { before, after } => (Some(before), Some(after)),
            Self::DeleteBinding(before) => (Some(before), None),
            Self::CreateRole(_)
            | Self::UpdateRole {
                before: _,
                after: _,
            }
            | Self::DeleteRole(_)
            | Self::ChangeBuiltInRoles {
                entries: _,
                changed: _,
            } => (None, None),
        }
    }

    /// What roles gain that were there before.
    pub(super) fn role_gains(&self) -> Vec<(RoleName, PermissionSet)> {
        match self {
            Self::UpdateRole { before, after } => vec![(
                after.name.clone(),
                after.permissions.difference(before.permissions),
            )],
            Self::ChangeBuiltInRoles {
                entries: _,
                changed,
            } => changed
                .iter()
                .map(|change| (RoleName::built_in(change.role), change.added))
                .collect(),
            Self::CreateRole(_)
            | Self::DeleteRole(_)
            | Self::CreateBinding(_)
            | Self::UpdateBinding {
                before: _,
                after: _,
            }
            | Self::DeleteBinding(_) => Vec::new(),
        }
    }
}

impl BuiltInChange {
    fn change(&self) -> Change {
        let Self {
            role,
            added,
            removed,
        } = self;
        Change::BuiltInRoleChanged {
            role: *role,
            added: *added,
            removed: *removed,
        }
    }
}

impl From<&RoleBinding> for BindingKey {
    fn from(binding: &RoleBinding) -> Self {
        Self {
            resource: binding.name.parent(),
            principal: binding.principal.clone(),
            role: binding.role.clone(),
        }
    }
}
