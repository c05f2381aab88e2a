//! All roles, and which of them would bring a permission.

use std::collections::{HashMap, HashSet};

use model::names::{ResourceName, RoleName};
use model::permissions::{Permission, PermissionSet};
use model::roles::{RoleChanges, SystemRole};

use super::build::number;
use super::rows::{BuiltInRoleChangeRow, Flaw, RoleRow};

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

impl IndexedRole {
    /// What a built-in role holds in this installation only.
    pub(crate) fn added(&self) -> PermissionSet {
        self.permissions.difference(self.elsewhere())
    }

    /// What a built-in role holds everywhere but in this installation.
    pub(crate) fn removed(&self) -> PermissionSet {
        self.elsewhere().difference(self.permissions)
    }

    fn elsewhere(&self) -> PermissionSet {
        self.name
            .system_role()
            .map_or(self.permissions, SystemRole::permissions)
    }
}

/// All roles, numbered from the one that holds the least.
#[derive(Debug)]
pub(super) struct Roles {
    roles: Vec<IndexedRole>,
    numbers: HashMap<RoleName, u32>,
    built_in: Vec<u32>,
    /// The custom ones by their resource.
    custom: HashMap<ResourceName, Vec<u32>>,
}

impl Roles {
    pub(super) fn read(
        changes: &[BuiltInRoleChangeRow],
        rows: Vec<RoleRow>,
        flaws: &mut Vec<Flaw>,
    ) -> Self {
        let mut roles = built_in(changes, flaws);
        roles.extend(rows.into_iter().filter_map(|row| custom(row, flaws)));
        roles.sort_by_cached_key(|role| (role.permissions.len(), role.name.clone()));
        let mut read = Self {
            numbers: HashMap::with_capacity(roles.len()),
            roles: Vec::new(),
            built_in: Vec::new(),
            custom: HashMap::new(),
        };
        for (position, role) in roles.iter().enumerate() {
            let number = number(position);
            read.numbers.insert(role.name.clone(), number);
            match role.name.system_role() {
                Some(_) => read.built_in.push(number),
                None => read
                    .custom
                    .entry(role.name.parent())
                    .or_default()
                    .push(number),
            }
        }
        read.roles = roles;
        read
    }

    /// The role with this number; none for [`UNREADABLE`](super::UNREADABLE).
    pub(super) fn get(&self, number: u32) -> Option<&IndexedRole> {
        self.roles.get(number as usize)
    }

    pub(super) fn number(&self, name: &RoleName) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    pub(super) fn named(&self, name: &RoleName) -> Option<&IndexedRole> {
        self.get(self.number(name)?)
    }

    /// At most `most` roles that hold the permission and can be bound on the resource, those that
    /// hold the least first: built-in ones, and custom ones of resources that `visible` says yes to.
    pub(super) fn bringing(
        &self,
        permission: Permission,
        resource: &ResourceName,
        most: usize,
        visible: impl Fn(&ResourceName) -> bool,
    ) -> Vec<RoleName> {
        let meaningful = PermissionSet::grantable_at(resource.level());
        let fits = |number: &u32| {
            self.get(*number).is_some_and(|role| {
                role.complete
                    && role.permissions.contains(permission)
                    && role.permissions.is_subset(meaningful)
            })
        };
        let fitting = |numbers: &[u32]| {
            let numbers = numbers.iter().copied().filter(fits).take(most);
            numbers.collect::<Vec<_>>()
        };
        let mut found = fitting(&self.built_in);
        for ancestor in resource.ancestors() {
            if let Some(numbers) = self.custom.get(&ancestor)
                && visible(&ancestor)
            {
                found.extend(fitting(numbers));
            }
        }
        found.sort_unstable();
        found
            .into_iter()
            .take(most)
            .filter_map(|number| Some(self.get(number)?.name.clone()))
            .collect()
    }
}

/// The built-in roles with what is different here. What cannot be read gives and takes nothing; but
/// a role of which that is a part, itself or in one that it includes, may hold more than is known.
fn built_in(rows: &[BuiltInRoleChangeRow], flaws: &mut Vec<Flaw>) -> Vec<IndexedRole> {
    let mut changes = RoleChanges::default();
    let mut incomplete = HashSet::new();
    for BuiltInRoleChangeRow {
        role: name,
        permission,
        held,
    } in rows
    {
        let role = match name.parse::<SystemRole>() {
            Ok(role) => role,
            Err(source) => {
                let name = name.clone();
                flaws.push(Flaw::BuiltInRole { name, source });
                continue;
            }
        };
        let flaw = match permission.parse::<Permission>() {
            Ok(permission) => match changes.set(role, permission, *held) {
                Ok(()) => continue,
                Err(source) => Flaw::BuiltInRoleChange {
                    role,
                    permission,
                    source,
                },
            },
            Err(source) => Flaw::BuiltInRolePermission {
                role,
                name: permission.clone(),
                source,
            },
        };
        flaws.push(flaw);
        if *held {
            incomplete.insert(role);
        }
    }
    let roles = SystemRole::ALL.iter().map(|role| IndexedRole {
        name: RoleName::built_in(*role),
        permissions: role.permissions_with(&changes),
        complete: !has_part_in(*role, &incomplete),
    });
    roles.collect()
}

/// Whether the role, or one that it includes, is among `roles`.
fn has_part_in(role: SystemRole, roles: &HashSet<SystemRole>) -> bool {
    let mut included = role.includes().iter();
    roles.contains(&role) || included.any(|role| has_part_in(*role, roles))
}

/// A custom role. Whoever writes to the database by hand cannot give what no role may hold, nor take
/// the place of a role that is built in.
fn custom(row: RoleRow, flaws: &mut Vec<Flaw>) -> Option<IndexedRole> {
    let RoleRow { name, permissions } = row;
    let name = match name.parse::<RoleName>() {
        Ok(name) => name,
        Err(source) => {
            flaws.push(Flaw::RoleName { name, source });
            return None;
        }
    };
    let mut flaw = |what: &str| {
        let what = what.to_owned();
        let role = name.clone();
        flaws.push(Flaw::Permissions { role, what });
    };
    if name.system_role().is_some() {
        flaw("it is built in");
        return None;
    }
    let grantable = PermissionSet::grantable_at(name.parent().level());
    let mut readable = PermissionSet::EMPTY;
    let mut complete = permissions.is_some();
    if !complete {
        flaw("a document of unknown form");
    }
    for text in permissions.into_iter().flatten() {
        match text.parse::<Permission>() {
            Ok(permission) if grantable.contains(permission) => readable.insert(permission),
            Ok(_) | Err(_) => {
                complete = false;
                flaw(&text);
            }
        }
    }
    Some(IndexedRole {
        name,
        permissions: readable,
        complete,
    })
}
