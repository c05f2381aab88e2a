//! Whether a plan may be carried out, whoever asks for it, and what somebody gains by it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use model::names::{PolicyFileName, ResourceName, RoleBindingName, RoleName};
use model::permissions::PermissionSet;
use model::roles::SystemRole;
use thiserror::Error;

use super::plan::{Current, Plan, Step};
use super::violations::{Field, Violations};
use super::{BindingKey, PolicyFile};
use crate::domain::index::{Index, IndexedRole};
use crate::domain::policy::{RoleBinding, Unbindable, check_bindable};

/// Why a plan cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    /// Another file keeps it as it is.
    #[error("{name} is kept by the policy file `{file}`: only one file can say how it is")]
    ManagedByAnother {
        /// The role or the binding.
        name: String,
        /// The other file.
        file: PolicyFileName,
    },
    /// A binding of the file gives what means nothing there.
    #[error("{0}")]
    Unbindable(Violations),
    /// A binding of the file gives a role that does not exist, or not any more.
    #[error("{field}: {role} does not exist")]
    UnknownRole {
        /// The binding in the file.
        field: String,
        /// The role.
        role: RoleName,
    },
    /// A role gains what means nothing where it is bound by others.
    #[error("{source}: {} is such a binding", binding.name)]
    TooWide {
        /// One such binding.
        binding: Box<RoleBinding>,
        /// The role and what is too wide.
        source: Unbindable,
    },
    /// A role is not in the file any more, but others have bound it.
    #[error("{role} cannot be deleted: it is bound {bindings} times by others than the file")]
    RoleBound {
        /// The role.
        role: RoleName,
        /// How often.
        bindings: usize,
    },
    /// Nobody could administer the system any more.
    #[error("{0} is the last binding of SYSTEM_ADMIN on the system that does not expire")]
    LastAdministrator(RoleBindingName),
}

/// What somebody gains on a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gain {
    /// Where.
    pub(crate) resource: ResourceName,
    /// What; `None` if that cannot be read.
    pub(crate) permissions: Option<PermissionSet>,
    /// Until when; for ever if unset.
    pub(crate) expire_time: Option<DateTime<Utc>>,
}

/// A plan, with what it was made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned<'a> {
    pub(crate) file: &'a PolicyFile,
    pub(crate) current: &'a Current,
    /// The policy at the revision of `current`.
    pub(crate) index: &'a Index,
    pub(crate) plan: &'a Plan,
    pub(crate) now: DateTime<Utc>,
}

/// What a role holds once a plan is carried out.
#[derive(Clone, Copy)]
struct Holds {
    /// All of it that can be read.
    permissions: PermissionSet,
    /// Whether that is all of it.
    complete: bool,
}

impl Planned<'_> {
    /// Whether the plan may be carried out.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        self.check_managed_by_others()?;
        self.check_bindings()?;
        self.check_other_bindings()?;
        self.check_roles_are_free()?;
        self.check_administrator_left()
    }

    /// Everything that somebody gains. What a role has gained, those have to whom it is bound.
    pub(crate) fn gains(&self) -> Vec<Gain> {
        self.plan
            .steps
            .iter()
            .flat_map(|step| {
                let created = match step {
                    Step::CreateRole(role) => Some((role.name.clone(), role.permissions)),
                    Step::UpdateRole {
                        before: _,
                        after: _,
                    }
                    | Step::DeleteRole(_)
                    | Step::ChangeBuiltInRoles {
                        entries: _,
                        changed: _,
                    }
                    | Step::CreateBinding(_)
                    | Step::UpdateBinding {
                        before: _,
                        after: _,
                    }
                    | Step::DeleteBinding(_) => None,
                };
                let roles = created.into_iter().chain(step.role_gains());
                let by_roles = roles.map(|(role, permissions)| Gain {
                    resource: role.parent(),
                    permissions: Some(permissions),
                    expire_time: None,
                });
                let by_binding = match step.binding() {
                    (Some(before), Some(after)) => {
                        outlives(after, before, self.now).then(|| self.gain_by(after))
                    }
                    (None, Some(after)) => Some(self.gain_by(after)),
                    (_, None) => None,
                };
                by_roles.chain(by_binding).collect::<Vec<_>>()
            })
            .filter(|gain| gain.permissions != Some(PermissionSet::EMPTY))
            .collect()
    }

    fn gain_by(&self, binding: &RoleBinding) -> Gain {
        let holds = self.holds(&binding.role).filter(|holds| holds.complete);
        Gain {
            resource: binding.name.parent(),
            permissions: holds.map(|holds| holds.permissions),
            expire_time: binding.expire_time,
        }
    }

    fn check_managed_by_others(&self) -> Result<(), Refused> {
        let (file, current) = (self.file, self.current);
        let check = |name: &dyn std::fmt::Display, by: Option<&PolicyFileName>| match by {
            Some(other) if *other != file.name => Err(Refused::ManagedByAnother {
                name: name.to_string(),
                file: other.clone(),
            }),
            Some(_) | None => Ok(()),
        };
        for key in file.built_in_roles.keys() {
            let (role, permission) = key;
            let name = format!("{permission} of {}", RoleName::built_in(*role));
            let entry = current.built_in_roles.get(key);
            check(&name, entry.map(|entry| &entry.managed_by))?;
        }
        for name in file.roles.keys() {
            let role = current.roles.get(name);
            check(name, role.and_then(|role| role.managed_by.as_ref()))?;
        }
        for (key, _) in file.wanted_bindings(self.now) {
            if let Some(binding) = current.bindings.get(key) {
                check(&binding.name, binding.managed_by.as_ref())?;
            }
        }
        Ok(())
    }

    /// Whether every binding of the file gives what there is, and what means something there.
    fn check_bindings(&self) -> Result<(), Refused> {
        let list = Field::Member(&Field::File, "role_bindings");
        let mut violations = Violations::default();
        let mut unknown = None;
        for (key, binding) in self.file.wanted_bindings(self.now) {
            let BindingKey {
                resource,
                principal: _,
                role,
            } = key;
            let field = Field::Item(&list, binding.number);
            let field = Field::Member(&field, "role");
            // Whether the role fits the resource shows in its name, and is told before whether it
            // exists.
            let holds = self.holds(role);
            let permissions = holds.map_or(PermissionSet::EMPTY, |holds| holds.permissions);
            match check_bindable(role, permissions, resource) {
                Err(error) => violations.add(field, binding.place, error),
                Ok(()) if holds.is_none() => {
                    unknown.get_or_insert_with(|| Refused::UnknownRole {
                        field: field.to_string(),
                        role: role.clone(),
                    });
                }
                Ok(()) => {}
            }
        }
        if !violations.is_empty() {
            return Err(Refused::Unbindable(violations));
        }
        unknown.map_or(Ok(()), Err)
    }

    /// Whether what roles gain means something wherever others have bound them.
    fn check_other_bindings(&self) -> Result<(), Refused> {
        let gaining = self.plan.steps.iter().flat_map(Step::role_gains);
        let gaining = gaining
            .filter(|(_, gained)| !gained.is_empty())
            .filter_map(|(role, _)| {
                let holds = self.holds(&role)?;
                Some((role, holds.permissions))
            })
            .collect::<BTreeMap<_, _>>();
        for binding in self.left_to_others() {
            let Some(permissions) = gaining.get(&binding.role) else {
                continue;
            };
            check_bindable(&binding.role, *permissions, &binding.name.parent()).map_err(
                |source| Refused::TooWide {
                    binding: Box::new(binding.clone()),
                    source,
                },
            )?;
        }
        Ok(())
    }

    fn check_roles_are_free(&self) -> Result<(), Refused> {
        let mut bound = BTreeMap::<&RoleName, usize>::new();
        for binding in self.left_to_others() {
            *bound.entry(&binding.role).or_default() += 1;
        }
        let (role, bindings) = match bound.iter().find(|(role, _)| self.is_deleted(role)) {
            Some((role, bindings)) => ((*role).clone(), *bindings),
            None => return Ok(()),
        };
        Err(Refused::RoleBound { role, bindings })
    }

    fn check_administrator_left(&self) -> Result<(), Refused> {
        let touched = self.plan.steps.iter().map(Step::binding);
        let lost = touched.clone().find_map(|(before, after)| {
            before.filter(|before| is_administrator(before) && !after.is_some_and(is_administrator))
        });
        let Some(lost) = lost else { return Ok(()) };
        let gained = touched
            .clone()
            .any(|(_, after)| after.is_some_and(is_administrator));
        let touched = touched
            .filter_map(|(before, _)| before.map(|binding| &binding.name))
            .collect::<BTreeSet<_>>();
        let mut untouched = self.current.bindings.values();
        let left =
            untouched.any(|binding| is_administrator(binding) && !touched.contains(&binding.name));
        if gained || left {
            Ok(())
        } else {
            Err(Refused::LastAdministrator(lost.name.clone()))
        }
    }

    /// What a role holds once the plan is carried out; nothing if it does not exist then.
    fn holds(&self, role: &RoleName) -> Option<Holds> {
        if let Some(role) = self.file.roles.get(role) {
            return Some(Holds {
                permissions: role.permissions,
                complete: true,
            });
        }
        if self.is_deleted(role) {
            return None;
        }
        let IndexedRole {
            name: _,
            permissions,
            complete,
        } = self.index.role(role)?;
        Some(Holds {
            permissions: match role.system_role() {
                Some(built_in) => built_in.permissions_with(&self.plan.role_changes),
                None => *permissions,
            },
            complete: *complete,
        })
    }

    /// Whether the role is one that the file has brought and does not say any more.
    fn is_deleted(&self, role: &RoleName) -> bool {
        let (file, current) = (self.file, self.current);
        !file.roles.contains_key(role)
            && current
                .roles
                .get(role)
                .is_some_and(|role| role.managed_by.as_ref() == Some(&file.name))
    }

    /// The bindings that the file has nothing to do with, and that have not expired.
    fn left_to_others(&self) -> impl Iterator<Item = &RoleBinding> {
        self.current
            .bindings
            .iter()
            .filter(|(key, binding)| {
                let own = binding.managed_by.as_ref() == Some(&self.file.name);
                !own && !self.file.wants(key, self.now) && !binding.expired(self.now)
            })
            .map(|(_, binding)| binding)
    }
}

/// Whether a binding makes somebody an administrator of the system for ever.
fn is_administrator(binding: &RoleBinding) -> bool {
    binding.name.parent() == ResourceName::System
        && binding.role == RoleName::built_in(SystemRole::SystemAdmin)
        && binding.expire_time.is_none()
}

/// Whether a binding gives its role at a time when it did not before.
fn outlives(after: &RoleBinding, before: &RoleBinding, now: DateTime<Utc>) -> bool {
    match (before.expire_time, after.expire_time) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(before), Some(after)) => after > before && after > now,
    }
}
