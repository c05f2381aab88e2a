//! Custom roles.

use chassis::database::{Connection, time};
use chassis::requests::{self, Request};
use chassis::{args, transaction};
use model::names::RoleName;
use model::permissions::{Permission, PermissionSet};
use serde::{Deserialize, Serialize};

use super::error::corrupt;
use super::{Changed, Error, Store, document, policy};
use crate::domain::policy::{PolicyRevision, Role};

#[derive(sqlx::FromRow)]
struct RoleRow {
    name: String,
    display_name: String,
    description: String,
    permissions: String,
    created_by: String,
    create_time: i64,
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
        } = row;
        let permissions = stored_permissions(&permissions)?;
        let permissions = permissions.iter().map(|name| name.parse::<Permission>());
        Ok(Self {
            name: name.parse().map_err(corrupt)?,
            display_name,
            description,
            permissions: permissions
                .collect::<Result<PermissionSet, _>>()
                .map_err(corrupt)?,
            created_by: created_by.parse().map_err(corrupt)?,
            create_time: time(create_time)?,
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
        request: Option<&Request>,
    ) -> Result<Changed<Role>, Error> {
        let Role {
            name,
            display_name,
            description,
            permissions,
            created_by,
            create_time,
        } = role;
        let permissions = permissions.iter().map(|permission| permission.to_string());
        let permissions = document::write(&Permissions {
            permissions: permissions.collect(),
        })?;
        transaction!(self.database, |transaction| {
            if let Some(name) = requests::replay::<Error>(transaction, request).await? {
                let value = find(transaction, &name.parse().map_err(corrupt)?)
                    .await?
                    .ok_or_else(|| corrupt("a role that was created is gone"))?;
                let revision = policy::current(transaction).await?;
                return Ok(Changed {
                    value,
                    revision,
                    made: false,
                });
            }
            let revision = policy::advance(transaction, decided_at).await?;
            let inserted = transaction
                .execute(
                    "INSERT INTO roles
                             (name, display_name, description, permissions, created_by, create_time)
                         VALUES ($1, $2, $3, $4, $5, $6)
                         ON CONFLICT DO NOTHING",
                    args![
                        name.to_string(),
                        display_name,
                        description,
                        &permissions,
                        created_by.to_string(),
                        *create_time,
                    ],
                )
                .await?;
            if inserted == 0 {
                return Err(Error::RoleExists(name.clone()));
            }
            requests::remember(transaction, request, name, *create_time).await?;
            Ok(Changed {
                value: role.clone(),
                revision,
                made: true,
            })
        })
    }
}

async fn find(connection: &mut Connection, name: &RoleName) -> Result<Option<Role>, Error> {
    let row = connection
        .fetch_optional::<RoleRow>(
            "SELECT name, display_name, description, permissions, created_by, create_time
             FROM roles WHERE name = $1",
            args![name.to_string()],
        )
        .await?;
    row.map(Role::try_from).transpose()
}
