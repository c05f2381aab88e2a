//! Role bindings.

use chassis::database::{Connection, time};
use chassis::requests::{self, Request};
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::names::{ResourceName, RoleBindingId, RoleBindingName, RoleName};
use model::roles::SystemRole;
use uuid::Uuid;

use super::error::corrupt;
use super::{Changed, Error, Store, policy};
use crate::domain::policy::{PolicyRevision, RoleBinding};

#[derive(sqlx::FromRow)]
struct BindingRow {
    id: Uuid,
    resource: String,
    principal: String,
    role: String,
    created_by: String,
    create_time: i64,
}

impl TryFrom<BindingRow> for RoleBinding {
    type Error = Error;

    fn try_from(row: BindingRow) -> Result<Self, Error> {
        let BindingRow {
            id,
            resource,
            principal,
            role,
            created_by,
            create_time,
        } = row;
        let resource = resource.parse().map_err(corrupt)?;
        Ok(Self {
            name: RoleBindingName::new(resource, RoleBindingId::new(id)),
            principal: principal.parse().map_err(corrupt)?,
            role: role.parse().map_err(corrupt)?,
            created_by: created_by.parse().map_err(corrupt)?,
            create_time: time(create_time)?,
        })
    }
}

impl Store {
    /// Creates a binding, or finds the one that gives the same role to the same principal on the
    /// same resource.
    pub(crate) async fn create_role_binding(
        &self,
        decided_at: PolicyRevision,
        binding: &RoleBinding,
        request: Option<&Request>,
    ) -> Result<Changed<RoleBinding>, Error> {
        let RoleBinding {
            name,
            principal,
            role,
            created_by,
            create_time,
        } = binding;
        transaction!(self.database, |transaction| {
            if let Some(name) = requests::replay::<Error>(transaction, request).await? {
                let name = name.parse::<RoleBindingName>().map_err(corrupt)?;
                let value = find(transaction, &name)
                    .await?
                    .ok_or(Error::NoSuchBinding(name))?;
                let revision = policy::current(transaction).await?;
                return Ok(Changed {
                    value,
                    revision,
                    made: false,
                });
            }
            if let Some(value) = find_same(transaction, binding).await? {
                policy::hold(transaction, decided_at).await?;
                requests::remember(transaction, request, &value.name, *create_time).await?;
                return Ok(Changed {
                    value,
                    revision: decided_at,
                    made: false,
                });
            }
            let revision = policy::advance(transaction, decided_at).await?;
            transaction
                .execute(
                    "INSERT INTO role_bindings
                             (id, resource, principal, role, created_by, create_time)
                         VALUES ($1, $2, $3, $4, $5, $6)",
                    args![
                        name.id().get(),
                        name.parent().to_string(),
                        principal.to_string(),
                        role.to_string(),
                        created_by.to_string(),
                        *create_time,
                    ],
                )
                .await?;
            requests::remember(transaction, request, name, *create_time).await?;
            Ok(Changed {
                value: binding.clone(),
                revision,
                made: true,
            })
        })
    }

    /// The bindings on a resource itself, from the one after `after` on, ordered by name.
    pub(crate) async fn role_bindings(
        &self,
        resource: &ResourceName,
        after: Option<RoleBindingId>,
        most: i64,
    ) -> Result<Vec<RoleBinding>, Error> {
        // No binding has the nil id.
        let after = after.map_or(Uuid::nil(), RoleBindingId::get);
        let rows = self
            .database
            .read()
            .await?
            .fetch_all::<BindingRow>(
                "SELECT id, resource, principal, role, created_by, create_time
                 FROM role_bindings WHERE resource = $1 AND id > $2 ORDER BY id LIMIT $3",
                args![resource.to_string(), after, most],
            )
            .await?;
        rows.into_iter().map(RoleBinding::try_from).collect()
    }

    /// Deletes a binding. The last one that makes somebody SYSTEM_ADMIN stays.
    pub(crate) async fn delete_role_binding(
        &self,
        decided_at: PolicyRevision,
        name: &RoleBindingName,
        request: Option<&Request>,
        now: DateTime<Utc>,
    ) -> Result<Changed<()>, Error> {
        transaction!(self.database, |transaction| {
            if requests::replay::<Error>(transaction, request)
                .await?
                .is_some()
            {
                let revision = policy::current(transaction).await?;
                return Ok(Changed {
                    value: (),
                    revision,
                    made: false,
                });
            }
            let revision = policy::advance(transaction, decided_at).await?;
            let deleted = transaction
                .fetch_optional::<(String,)>(
                    "DELETE FROM role_bindings WHERE id = $1 AND resource = $2 RETURNING role",
                    args![name.id().get(), name.parent().to_string()],
                )
                .await?;
            let Some((role,)) = deleted else {
                return Err(Error::NoSuchBinding(name.clone()));
            };
            let was_administrator =
                name.parent() == ResourceName::System && role == administrator().to_string();
            if was_administrator && administrators(transaction).await? == 0 {
                return Err(Error::LastAdministrator(name.clone()));
            }
            requests::remember(transaction, request, name, now).await?;
            Ok(Changed {
                value: (),
                revision,
                made: true,
            })
        })
    }
}

/// How many bindings make somebody SYSTEM_ADMIN. The lock on the policy keeps others from changing
/// that.
async fn administrators(transaction: &mut Connection) -> Result<i64, Error> {
    let (count,) = transaction
        .fetch_one::<(i64,)>(
            "SELECT COUNT(*) FROM role_bindings WHERE resource = $1 AND role = $2",
            args![
                ResourceName::System.to_string(),
                administrator().to_string(),
            ],
        )
        .await?;
    Ok(count)
}

fn administrator() -> RoleName {
    RoleName::built_in(SystemRole::SystemAdmin)
}

async fn find(
    connection: &mut Connection,
    name: &RoleBindingName,
) -> Result<Option<RoleBinding>, Error> {
    let row = connection
        .fetch_optional::<BindingRow>(
            "SELECT id, resource, principal, role, created_by, create_time
             FROM role_bindings WHERE id = $1 AND resource = $2",
            args![name.id().get(), name.parent().to_string()],
        )
        .await?;
    row.map(RoleBinding::try_from).transpose()
}

async fn find_same(
    connection: &mut Connection,
    binding: &RoleBinding,
) -> Result<Option<RoleBinding>, Error> {
    let row = connection
        .fetch_optional::<BindingRow>(
            "SELECT id, resource, principal, role, created_by, create_time
             FROM role_bindings WHERE resource = $1 AND principal = $2 AND role = $3",
            args![
                binding.name.parent().to_string(),
                binding.principal.to_string(),
                binding.role.to_string(),
            ],
        )
        .await?;
    row.map(RoleBinding::try_from).transpose()
}
