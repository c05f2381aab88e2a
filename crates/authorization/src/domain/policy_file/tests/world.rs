//! A policy in memory that files are applied to, as the store does it.

use std::fmt;

use chrono::{DateTime, Utc};
use model::names::{PolicyFileName, RoleBindingId, RoleBindingName};
use model::permissions::PermissionSet;
use uuid::Uuid;

use super::super::*;
use super::now;
use crate::domain::index::{BindingRow, BuiltInRoleChangeRow, Index, PolicyRows, RoleRow};
use crate::domain::policy::{PolicyRevision, Role, RoleBinding};
use crate::domain::policy_change::{Author, Change};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct World {
    pub(super) current: Current,
    ids: u128,
}

impl World {
    /// Where `user:admin` administers the system.
    pub(super) fn first() -> Self {
        let mut world = Self::default();
        world.bind("user:admin", "roles/SYSTEM_ADMIN", "system", None, None);
        world
    }

    pub(super) fn role(&mut self, name: &str, permissions: &[&str], managed_by: Option<&str>) {
        let permissions = permissions.iter().map(|text| text.parse().unwrap());
        let role = Role {
            name: name.parse().unwrap(),
            display_name: String::new(),
            description: String::new(),
            permissions: permissions.collect(),
            created_by: "user:ann".parse().unwrap(),
            create_time: now(),
            updated_by: "user:ann".parse().unwrap(),
            update_time: now(),
            managed_by: managed_by.map(|name| name.parse().unwrap()),
        };
        self.current.roles.insert(role.name.clone(), role);
    }

    pub(super) fn bind(
        &mut self,
        principal: &str,
        role: &str,
        resource: &str,
        expire_time: Option<DateTime<Utc>>,
        managed_by: Option<&str>,
    ) {
        let name = RoleBindingName::new(resource.parse().unwrap(), self.new_id());
        let binding = RoleBinding {
            name,
            principal: principal.parse().unwrap(),
            role: role.parse().unwrap(),
            created_by: "user:ann".parse().unwrap(),
            create_time: now(),
            expire_time,
            managed_by: managed_by.map(|name| name.parse().unwrap()),
        };
        self.insert(binding);
    }

    pub(super) fn insert(&mut self, binding: RoleBinding) {
        let key = BindingKey::from(&binding);
        self.current.bindings.insert(key, binding);
    }

    fn new_id(&mut self) -> RoleBindingId {
        self.ids += 1;
        RoleBindingId::new(Uuid::from_u128(self.ids))
    }

    pub(super) fn index(&self) -> Index {
        let roles = self.current.roles.values().map(|role| RoleRow {
            name: role.name.to_string(),
            permissions: Some(role.permissions.iter().map(|p| p.to_string()).collect()),
        });
        let bindings = self.current.bindings.values().map(|binding| BindingRow {
            id: binding.name.id(),
            resource: binding.name.parent().to_string(),
            principal: binding.principal.to_string(),
            role: binding.role.to_string(),
            expire_time: binding.expire_time.map(|time| time.timestamp_micros()),
        });
        let built_in = self.current.built_in_roles.iter();
        let built_in_role_changes =
            built_in.map(|((role, permission), entry)| BuiltInRoleChangeRow {
                role: role.to_string(),
                permission: permission.to_string(),
                held: entry.held,
            });
        let (index, _) = Index::build(PolicyRows {
            revision: PolicyRevision(1),
            built_in_role_changes: built_in_role_changes.collect(),
            roles: roles.collect(),
            bindings: bindings.collect(),
            revoked: Vec::new(),
        });
        index
    }

    /// Plans a file and hands the plan over, with all that it was made from.
    pub(super) fn planned<T>(
        &mut self,
        file: &PolicyFile,
        now: DateTime<Utc>,
        look: impl FnOnce(Planned<'_>) -> T,
    ) -> T {
        let author = Author {
            principal: "user:ann".parse().unwrap(),
            time: now,
            reason: String::new(),
            managed_by: Some(file.name.clone()),
        };
        let current = self.current.clone();
        let index = self.index();
        let plan = plan(file, &current, &author, || self.new_id());
        look(Planned {
            file,
            current: &current,
            index: &index,
            plan: &plan,
            now,
        })
    }

    /// Applies a file, and tells the changes or why not.
    pub(super) fn apply(
        &mut self,
        file: &PolicyFile,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, Refused> {
        let (steps, changes) = self.planned(file, now, |planned| {
            planned.check()?;
            let changes = planned.plan.changes();
            Ok((planned.plan.steps.clone(), changes))
        })?;
        for step in steps {
            self.carry_out(step, &file.name);
        }
        Ok(changes
            .iter()
            .map(|change| Shown(change).to_string())
            .collect())
    }

    /// Panics where the database would refuse.
    fn carry_out(&mut self, step: Step, file: &PolicyFileName) {
        let Current {
            built_in_roles,
            roles,
            bindings,
        } = &mut self.current;
        match step {
            Step::DeleteBinding(binding) => {
                assert!(bindings.remove(&BindingKey::from(&binding)).is_some());
            }
            Step::DeleteRole(role) => {
                assert!(roles.remove(&role.name).is_some());
                assert!(bindings.keys().all(|key| key.role != role.name));
            }
            Step::ChangeBuiltInRoles {
                entries,
                changed: _,
            } => {
                built_in_roles.retain(|_, entry| entry.managed_by != *file);
                for (key, held) in entries {
                    let managed_by = file.clone();
                    let entry = BuiltInEntry { held, managed_by };
                    assert!(built_in_roles.insert(key, entry).is_none());
                }
            }
            Step::CreateRole(role) => {
                assert!(roles.insert(role.name.clone(), role).is_none());
            }
            Step::UpdateRole { before, after } => {
                assert_eq!(roles.insert(after.name.clone(), after), Some(before));
            }
            Step::CreateBinding(binding) => {
                let key = BindingKey::from(&binding);
                assert!(bindings.insert(key, binding).is_none());
            }
            Step::UpdateBinding { before, after } => {
                let key = BindingKey::from(&after);
                assert_eq!(bindings.insert(key, after), Some(before));
            }
        }
    }
}

/// A change in one line.
struct Shown<'a>(&'a Change);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Change::RoleCreated { role, permissions } => write!(f, "+ {role}: {permissions}"),
            Change::RoleUpdated {
                role,
                added,
                removed,
            } => difference(f, role, *added, *removed),
            Change::BuiltInRoleChanged {
                role,
                added,
                removed,
            } => difference(f, role, *added, *removed),
            Change::RoleDeleted {
                role,
                permissions: _,
            } => write!(f, "- {role}"),
            Change::RoleBindingCreated(binding) => self.binding(f, "+", binding),
            Change::RoleBindingUpdated(binding) => self.binding(f, "~", binding),
            Change::RoleBindingDeleted(binding) => self.binding(f, "-", binding),
            Change::TokenRevoked { account: _, id: _ } => f.write_str("a token"),
        }
    }
}

fn difference(
    f: &mut fmt::Formatter<'_>,
    role: &impl fmt::Display,
    added: PermissionSet,
    removed: PermissionSet,
) -> fmt::Result {
    write!(f, "~ {role}:")?;
    for (sign, set) in [("+", added), ("-", removed)] {
        if !set.is_empty() {
            write!(f, " {sign}{set}")?;
        }
    }
    Ok(())
}

impl Shown<'_> {
    fn binding(
        &self,
        f: &mut fmt::Formatter<'_>,
        sign: &str,
        binding: &RoleBinding,
    ) -> fmt::Result {
        let RoleBinding {
            name,
            principal,
            role,
            created_by: _,
            create_time: _,
            expire_time,
            managed_by: _,
        } = binding;
        write!(f, "{sign} {principal} {role} {}", name.parent())?;
        match expire_time {
            Some(time) => write!(f, " until {}", time.date_naive()),
            None => Ok(()),
        }
    }
}
