//! Custom roles.

use chassis::database::{Connection, time};
use chassis::requests::{self, Request};
use chassis::{args, transaction};
use model::names::{ResourceName, RoleName};
use model::permissions::{Permission, PermissionSet};
use serde::{Deserialize, Serialize};

use super::error::corrupt;
use super::span::Span;
use super::{Changed, Error, Store, document, limits, policy, policy_changes, role_bindings};
use crate::domain::policy::{PolicyRevision, Role};
use crate::domain::policy_change::{Author, Change};

#[derive(sqlx::FromRow)]
pub(super) struct RoleRow {
    pub(super) name: String,
    display_name: String,
    description: String,
    permissions: String,
    created_by: String,
    create_time: i64,
    updated_by: String,
    update_time: i64,
    pub(super) managed_by: Option<String>,
}

impl TryFrom<RoleRow> for Role {
    type Error = Error;

    fn try_from(row: RoleRow) -> Result<Self, Error> {
        let RoleRow {
            name,
            display_name,
            description,
            permissions,
            created_by,
            create_time,
            updated_by,
            update_time,
            managed_by,
        } = row;
        let permissions = stored_permissions(&permissions)?;
        let permissions = permissions.iter().map(|name| name.parse::<Permission>());
        let managed_by = managed_by.as_deref().map(str::parse).transpose();
        Ok(Self {
            name: name.parse().map_err(corrupt)?,
            display_name,
            description,
            permissions: permissions
                .collect::<Result<PermissionSet, _>>()
                .map_err(corrupt)?,
            created_by: created_by.parse().map_err(corrupt)?,
            create_time: time(create_time)?,
            updated_by: updated_by.parse().map_err(corrupt)?,
            update_time: time(update_time)?,
            managed_by: managed_by.map_err(corrupt)?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Permissions {
    permissions: Vec<String>,
}

/// The names in the column `permissions`. Whether there are such permissions is another question:
/// a later release may know more.
pub(super) fn stored_permissions(text: &str) -> Result<Vec<String>, Error> {
    let Permissions { permissions } = document::read(text)?;
    Ok(permissions)
}

impl Store {
    /// Creates a role.
    pub(crate) async fn create_role(
        &self,
        decided_at: PolicyRevision,
        role: &Role,
        author: &Author,
        request: Option<&Request>,
    ) -> Result<Changed<Role>, Error> {
        let created = Change::RoleCreated {
            role: role.name.clone(),
            permissions: role.permissions,
        };
        let changes = [created];
        transaction!(self.database, |transaction| {
            if let Some(changed) = repeated(transaction, request).await? {
                return Ok(changed);
            }
            let revision = policy::advance(transaction, decided_at).await?;
            insert(transaction, role).await?;
            limits::check_roles(transaction, &role.name.parent()).await?;
            policy_changes::record(transaction, revision, author, &changes).await?;
            requests::remember(transaction, request, &role.name, author.time).await?;
            Ok(Changed {
                value: role.clone(),
                revision,
                made: true,
            })
        })
    }

    /// The role of this name.
    pub(crate) async fn role(&self, name: &RoleName) -> Result<Option<Role>, Error> {
        find(&mut self.database.read().await?, name).await
    }

    /// The custom roles of these resources, from the one after `after` on, ordered by name.
    pub(crate) async fn roles(
        &self,
        resources: impl IntoIterator<Item = ResourceName>,
        after: Option<&RoleName>,
        most: usize,
    ) -> Result<Vec<Role>, Error> {
        let spans = resources.into_iter().map(|name| Span::of_roles(&name));
        let mut spans = spans.collect::<Vec<_>>();
        spans.sort_unstable_by(|one, other| one.first.cmp(&other.first));
        let after = after.map(ToString::to_string).unwrap_or_default();
        let mut connection = self.database.read().await?;
        let mut rows = Vec::new();
        for Span { first, last } in spans {
            let left = i64::try_from(most.saturating_sub(rows.len())).unwrap_or(i64::MAX);
            let found = connection.fetch_all::<RoleRow>(
                "SELECT name, display_name, description, permissions, created_by, create_time,
                        updated_by, update_time, managed_by
                 FROM roles WHERE name BETWEEN $1 AND $2 AND name > $3
                 ORDER BY name LIMIT $4",
                args![first, last, &after, left],
            );
            rows.extend(found.await?);
        }
        rows.into_iter().map(Role::try_from).collect()
    }

    /// What a request has come to that changed a role and was answered before.
    pub(crate) async fn repeated_update(
        &self,
        request: Option<&Request>,
    ) -> Result<Option<Changed<Role>>, Error> {
        repeated(&mut self.database.read().await?, request).await
    }

    /// Makes a role that is as `before` says be as `after` says.
    pub(crate) async fn update_role(
        &self,
        decided_at: PolicyRevision,
        before: &Role,
        after: &Role,
        author: &Author,
        request: Option<&Request>,
    ) -> Result<Changed<Role>, Error> {
        let made = before != after;
        let changes = [Change::RoleUpdated {
            role: after.name.clone(),
            added: after.permissions.difference(before.permissions),
            removed: before.permissions.difference(after.permissions),
        }];
        transaction!(self.database, |transaction| {
            if let Some(changed) = repeated(transaction, request).await? {
                return Ok(changed);
            }
            let revision = if made {
                let revision = policy::advance(transaction, decided_at).await?;
                update(transaction, after).await?;
                policy_changes::record(transaction, revision, author, &changes).await?;
                revision
            } else {
                policy::hold(transaction, decided_at).await?;
                decided_at
            };
            requests::remember(transaction, request, &after.name, author.time).await?;
            Ok(Changed {
                value: after.clone(),
                revision,
                made,
            })
        })
    }

    /// What a request has come to that deleted a role and was answered before.
    pub(crate) async fn repeated_delete(
        &self,
        request: Option<&Request>,
    ) -> Result<Option<Changed<()>>, Error> {
        deleted_before(&mut self.database.read().await?, request).await
    }

    /// Deletes a role, and the bindings of it that have expired; with `force` all of them. Without,
    /// it stays while it is bound.
    pub(crate) async fn delete_role(
        &self,
        decided_at: PolicyRevision,
        name: &RoleName,
        force: bool,
        author: &Author,
        request: Option<&Request>,
    ) -> Result<Changed<()>, Error> {
        transaction!(self.database, |transaction| {
            if let Some(changed) = deleted_before(transaction, request).await? {
                return Ok(changed);
            }
            let revision = policy::advance(transaction, decided_at).await?;
            let role = delete(transaction, name).await?;
            if !force {
                role_bindings::check_unbound(transaction, name, author.time).await?;
            }
            limits::check_deleted_with_role(transaction, name).await?;
            let bindings = role_bindings::delete_all_of(transaction, name).await?;
            let bindings = bindings.into_iter().map(Change::RoleBindingDeleted);
            let deleted = Change::RoleDeleted {
                role: role.name,
                permissions: role.permissions,
            };
            let changes = bindings.chain([deleted]).collect::<Vec<_>>();
            policy_changes::record(transaction, revision, author, &changes).await?;
            requests::remember(transaction, request, name, author.time).await?;
            Ok(Changed {
                value: (),
                revision,
                made: true,
            })
        })
    }
}

async fn deleted_before(
    connection: &mut Connection,
    request: Option<&Request>,
) -> Result<Option<Changed<()>>, Error> {
    let answered = requests::replay::<Error>(connection, request).await?;
    if answered.is_none() {
        return Ok(None);
    }
    Ok(Some(Changed {
        value: (),
        revision: policy::current(connection).await?,
        made: false,
    }))
}

/// The role that a request has made or changed, if it was answered before. What is answered is
/// committed, so that the revision, which is read last, has it also outside of a transaction.
async fn repeated(
    connection: &mut Connection,
    request: Option<&Request>,
) -> Result<Option<Changed<Role>>, Error> {
    let Some(name) = requests::replay::<Error>(connection, request).await? else {
        return Ok(None);
    };
    let name = name.parse().map_err(corrupt)?;
    let value = find(connection, &name).await?;
    Ok(Some(Changed {
        value: value.ok_or(Error::NoSuchRole(name))?,
        revision: policy::current(connection).await?,
        made: false,
    }))
}

/// Inserts a role, if its name is free.
pub(super) async fn insert(transaction: &mut Connection, role: &Role) -> Result<(), Error> {
    let Role {
        name,
        display_name,
        description,
        permissions,
        created_by,
        create_time,
        updated_by,
        update_time,
        managed_by,
    } = role;
    let inserted = transaction
        .execute(
            "INSERT INTO roles
                 (name, display_name, description, permissions, created_by, create_time,
                  updated_by, update_time, managed_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT DO NOTHING",
            args![
                name.to_string(),
                display_name,
                description,
                write_permissions(*permissions)?,
                created_by.to_string(),
                *create_time,
                updated_by.to_string(),
                *update_time,
                managed_by.as_ref().map(ToString::to_string),
            ],
        )
        .await?;
    if inserted == 1 {
        Ok(())
    } else {
        Err(Error::RoleExists(name.clone()))
    }
}

/// Makes a role that is there be like this.
pub(super) async fn update(transaction: &mut Connection, role: &Role) -> Result<(), Error> {
    let Role {
        name,
        display_name,
        description,
        permissions,
        created_by: _,
        create_time: _,
        updated_by,
        update_time,
        managed_by,
    } = role;
    let updated = transaction
        .execute(
            "UPDATE roles SET display_name = $1, description = $2, permissions = $3,
                    updated_by = $4, update_time = $5, managed_by = $6
             WHERE name = $7",
            args![
                display_name,
                description,
                write_permissions(*permissions)?,
                updated_by.to_string(),
                *update_time,
                managed_by.as_ref().map(ToString::to_string),
                name.to_string(),
            ],
        )
        .await?;
    if updated == 1 {
        Ok(())
    } else {
        Err(Error::NoSuchRole(name.clone()))
    }
}

/// Deletes a role, and tells what it was. Its bindings are not looked at.
pub(super) async fn delete(transaction: &mut Connection, name: &RoleName) -> Result<Role, Error> {
    let deleted = transaction
        .fetch_optional::<RoleRow>(
            "DELETE FROM roles WHERE name = $1
             RETURNING name, display_name, description, permissions, created_by, create_time,
                       updated_by, update_time, managed_by",
            args![name.to_string()],
        )
        .await?;
    deleted
        .ok_or_else(|| Error::NoSuchRole(name.clone()))?
        .try_into()
}

/// All roles; they are not bounded, since the index has all of them.
pub(super) async fn all(connection: &mut Connection) -> Result<Vec<RoleRow>, Error> {
    let rows = connection
        .fetch_all::<RoleRow>(
            "SELECT name, display_name, description, permissions, created_by, create_time,
                    updated_by, update_time, managed_by
             FROM roles",
            args![],
        )
        .await?;
    Ok(rows)
}

async fn find(connection: &mut Connection, name: &RoleName) -> Result<Option<Role>, Error> {
    let row = connection
        .fetch_optional::<RoleRow>(
            "SELECT name, display_name, description, permissions, created_by, create_time,
                    updated_by, update_time, managed_by
             FROM roles WHERE name = $1",
            args![name.to_string()],
        )
        .await?;
    row.map(Role::try_from).transpose()
}

fn write_permissions(permissions: PermissionSet) -> Result<String, Error> {
    let permissions = permissions.iter().map(|permission| permission.to_string());
    document::write(&Permissions {
        permissions: permissions.collect(),
    })
}
