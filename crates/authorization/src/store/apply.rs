//! Policy files: what there is that concerns one, and writing what has to change.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chassis::database::Connection;
use chassis::{args, transaction};
use model::names::{PolicyFileName, ResourceName, RoleName};
use model::permissions::Permission;
use model::roles::SystemRole;

use super::error::corrupt;
use super::role_bindings::{self, BindingRow};
use super::roles;
use super::{Changed, Error, Store, limits, policy, policy_changes};
use crate::domain::policy::{PolicyRevision, Role, RoleBinding};
use crate::domain::policy_change::Author;
use crate::domain::policy_file::{BindingKey, BuiltInEntry, Current, Plan, PolicyFile, Step};

#[derive(sqlx::FromRow)]
struct BuiltInRow {
    role: String,
    permission: String,
    held: bool,
    managed_by: String,
}

impl Store {
    /// What there is that concerns a policy file, if the policy is still of the revision `at`.
    ///
    /// Only what concerns the file is read into types: that a row of something else cannot be read is
    /// no reason not to apply it.
    pub(crate) async fn concerning(
        &self,
        file: &PolicyFile,
        at: PolicyRevision,
    ) -> Result<Current, Error> {
        let mut connection = self.database.read().await?;
        let built_in_roles = built_in_entries(&mut connection).await?;
        let roles = concerned_roles(&mut connection, file).await?;
        let concerned = ConcernedBindings::of(file, &built_in_roles, &roles);
        let bindings = concerned.fetch(&mut connection).await?;
        // Every statement sees its own snapshot, none of which is older than `at`: they are of that
        // revision if it is still the newest.
        if policy::current(&mut connection).await? != at {
            return Err(Error::PolicyMoved);
        }
        Ok(Current {
            built_in_roles,
            roles,
            bindings,
        })
    }

    /// Carries out a plan, and records its changes.
    pub(crate) async fn apply(
        &self,
        decided_at: PolicyRevision,
        plan: Plan,
        author: &Author,
    ) -> Result<Changed<Plan>, Error> {
        let changes = plan.changes();
        let revision = transaction!(self.database, |transaction| {
            let revision = policy::advance(transaction, decided_at).await?;
            for step in &plan.steps {
                carry_out(transaction, step, author).await?;
            }
            check_limits(transaction, &plan, author).await?;
            policy_changes::record(transaction, revision, author, &changes).await?;
            Ok::<_, Error>(revision)
        })?;
        Ok(Changed {
            value: plan,
            revision,
            made: true,
        })
    }
}

async fn carry_out(
    transaction: &mut Connection,
    step: &Step,
    author: &Author,
) -> Result<(), Error> {
    match step {
        Step::DeleteBinding(binding) => {
            role_bindings::delete(transaction, &binding.name).await?;
            Ok(())
        }
        Step::DeleteRole(role) => {
            roles::delete(transaction, &role.name).await?;
            Ok(())
        }
        Step::ChangeBuiltInRoles {
            entries,
            changed: _,
        } => replace_built_in_entries(transaction, entries, author.managed_by.as_ref()).await,
        Step::CreateRole(role) => roles::insert(transaction, role).await,
        Step::UpdateRole { before: _, after } => roles::update(transaction, after).await,
        Step::CreateBinding(binding) => role_bindings::insert(transaction, binding).await,
        Step::UpdateBinding { before: _, after } => role_bindings::update(transaction, after).await,
    }
}

/// Fails if there is too much now where the plan made more.
async fn check_limits(
    transaction: &mut Connection,
    plan: &Plan,
    author: &Author,
) -> Result<(), Error> {
    let mut roles = BTreeSet::new();
    let mut bindings = BTreeSet::new();
    for step in &plan.steps {
        match step {
            Step::CreateRole(role) => {
                roles.insert(role.name.parent());
            }
            Step::CreateBinding(binding) => {
                bindings.insert(binding.name.parent());
            }
            // One that had expired may count again.
            Step::UpdateBinding { before, after } => {
                if before.expired(author.time) {
                    bindings.insert(after.name.parent());
                }
            }
            Step::DeleteBinding(_)
            | Step::DeleteRole(_)
            | Step::ChangeBuiltInRoles {
                entries: _,
                changed: _,
            }
            | Step::UpdateRole {
                before: _,
                after: _,
            } => {}
        }
    }
    for resource in &roles {
        limits::check_roles(transaction, resource).await?;
    }
    for resource in &bindings {
        limits::check_role_bindings(transaction, resource, author.time).await?;
    }
    Ok(())
}

async fn replace_built_in_entries(
    transaction: &mut Connection,
    entries: &BTreeMap<(SystemRole, Permission), bool>,
    file: Option<&PolicyFileName>,
) -> Result<(), Error> {
    let file = file.map(ToString::to_string);
    transaction
        .execute(
            "DELETE FROM built_in_role_changes WHERE managed_by = $1",
            args![file.clone()],
        )
        .await?;
    for ((role, permission), held) in entries {
        transaction
            .execute(
                "INSERT INTO built_in_role_changes (role, permission, held, managed_by)
                 VALUES ($1, $2, $3, $4)",
                args![role.as_str(), permission.as_str(), *held, file.clone()],
            )
            .await?;
    }
    Ok(())
}

/// All that policy files say of built-in roles, but for what this release cannot read: to it that
/// means nothing.
async fn built_in_entries(
    connection: &mut Connection,
) -> Result<BTreeMap<(SystemRole, Permission), BuiltInEntry>, Error> {
    let rows = connection
        .fetch_all::<BuiltInRow>(
            "SELECT role, permission, held, managed_by FROM built_in_role_changes",
            args![],
        )
        .await?;
    let mut entries = BTreeMap::new();
    for row in rows {
        let BuiltInRow {
            role,
            permission,
            held,
            managed_by,
        } = row;
        let managed_by = managed_by.parse().map_err(corrupt)?;
        if let (Ok(role), Ok(permission)) = (role.parse(), permission.parse()) {
            entries.insert((role, permission), BuiltInEntry { held, managed_by });
        }
    }
    Ok(entries)
}

async fn concerned_roles(
    connection: &mut Connection,
    file: &PolicyFile,
) -> Result<BTreeMap<RoleName, Role>, Error> {
    let named = file.roles.keys().map(ToString::to_string);
    let named = named.collect::<HashSet<_>>();
    let rows = roles::all(connection).await?;
    rows.into_iter()
        .filter(|row| {
            row.managed_by.as_deref() == Some(file.name.as_str()) || named.contains(&row.name)
        })
        .map(|row| {
            let role = Role::try_from(row)?;
            Ok((role.name.clone(), role))
        })
        .collect()
}

/// The bindings that concern a file, told by the texts in their rows.
struct ConcernedBindings {
    file: String,
    /// Resource, principal and role of those that the file names.
    named: HashSet<(String, String, String)>,
    /// All bindings of these roles.
    roles: HashSet<String>,
}

impl ConcernedBindings {
    fn of(
        file: &PolicyFile,
        built_in_roles: &BTreeMap<(SystemRole, Permission), BuiltInEntry>,
        roles: &BTreeMap<RoleName, Role>,
    ) -> Self {
        let named = file.bindings.keys().map(|key| {
            let BindingKey {
                resource,
                principal,
                role,
            } = key;
            (
                resource.to_string(),
                principal.to_string(),
                role.to_string(),
            )
        });
        // A built-in role changes with those that it includes.
        let changes_built_in = !file.built_in_roles.is_empty()
            || built_in_roles
                .values()
                .any(|entry| entry.managed_by == file.name);
        let built_in = SystemRole::ALL
            .iter()
            .filter(|_| changes_built_in)
            .map(|role| RoleName::built_in(*role));
        let roles = roles.keys().cloned().chain(built_in);
        Self {
            file: file.name.to_string(),
            named: named.collect(),
            roles: roles.map(|role| role.to_string()).collect(),
        }
    }

    async fn fetch(
        &self,
        connection: &mut Connection,
    ) -> Result<BTreeMap<BindingKey, RoleBinding>, Error> {
        let administrator = RoleName::built_in(SystemRole::SystemAdmin).to_string();
        let system = ResourceName::System.to_string();
        let rows = role_bindings::all(connection).await?;
        rows.into_iter()
            .filter(|row| {
                row.managed_by.as_ref() == Some(&self.file)
                    || self.roles.contains(&row.role)
                    || (row.role == administrator && row.resource == system)
                    || self.names(row)
            })
            .map(|row| {
                let binding = RoleBinding::try_from(row)?;
                Ok((BindingKey::from(&binding), binding))
            })
            .collect()
    }

    fn names(&self, row: &BindingRow) -> bool {
        let key = (
            row.resource.clone(),
            row.principal.clone(),
            row.role.clone(),
        );
        self.named.contains(&key)
    }
}
