//! Role bindings.

use chassis::database::{Connection, time};
use chassis::requests::{self, Request};
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::names::{Level, Principal, ResourceName, RoleBindingId, RoleBindingName, RoleName};
use model::roles::SystemRole;
use uuid::Uuid;

use super::error::corrupt;
use super::span::Span;
use super::{Changed, Error, Store, limits, policy, policy_changes};
use crate::domain::policy::{PolicyRevision, RoleBinding};
use crate::domain::policy_change::{Author, Change};

/// Which bindings to list.
#[derive(Clone, Debug)]
pub(crate) struct ListedBindings {
    /// Those on this resource.
    pub(crate) resource: ResourceName,
    /// And on all that is below it.
    pub(crate) descendants: bool,
    /// Only those of this principal.
    pub(crate) principal: Option<Principal>,
}

#[derive(sqlx::FromRow)]
pub(super) struct BindingRow {
    id: Uuid,
    pub(super) resource: String,
    pub(super) principal: String,
    pub(super) role: String,
    created_by: String,
    create_time: i64,
    expire_time: Option<i64>,
    pub(super) managed_by: Option<String>,
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
            expire_time,
            managed_by,
        } = row;
        let resource = resource.parse().map_err(corrupt)?;
        let managed_by = managed_by.as_deref().map(str::parse).transpose();
        Ok(Self {
            name: RoleBindingName::new(resource, RoleBindingId::new(id)),
            principal: principal.parse().map_err(corrupt)?,
            role: role.parse().map_err(corrupt)?,
            created_by: created_by.parse().map_err(corrupt)?,
            create_time: time(create_time)?,
            expire_time: expire_time.map(time).transpose()?,
            managed_by: managed_by.map_err(corrupt)?,
        })
    }
}

impl Store {
    /// Creates a binding, or finds the one that gives the same role to the same principal on the
    /// same resource until the same time. One that has expired makes room for the new one.
    pub(crate) async fn create_role_binding(
        &self,
        decided_at: PolicyRevision,
        binding: &RoleBinding,
        author: &Author,
        request: Option<&Request>,
    ) -> Result<Changed<RoleBinding>, Error> {
        let created = || Change::RoleBindingCreated(binding.clone());
        transaction!(self.database, |transaction| {
            if let Some(changed) = repeated(transaction, request).await? {
                return Ok(changed);
            }
            let existing = find_same(transaction, binding).await?;
            let expired = existing
                .as_ref()
                .is_some_and(|existing| existing.expired(author.time));
            let revision = match existing {
                Some(value) if !expired => {
                    policy::hold(transaction, decided_at).await?;
                    if value.expire_time != binding.expire_time {
                        return Err(Error::BindingExists(value.name));
                    }
                    requests::remember(transaction, request, &value.name, author.time).await?;
                    return Ok(Changed {
                        value,
                        revision: decided_at,
                        made: false,
                    });
                }
                Some(old) => {
                    let revision = policy::advance(transaction, decided_at).await?;
                    delete(transaction, &old.name).await?;
                    insert(transaction, binding).await?;
                    let changes = [Change::RoleBindingDeleted(old), created()];
                    policy_changes::record(transaction, revision, author, &changes).await?;
                    revision
                }
                None => {
                    let revision = policy::advance(transaction, decided_at).await?;
                    insert(transaction, binding).await?;
                    policy_changes::record(transaction, revision, author, &[created()]).await?;
                    revision
                }
            };
            limits::check_role_bindings(transaction, &binding.name.parent(), author.time).await?;
            requests::remember(transaction, request, &binding.name, author.time).await?;
            Ok(Changed {
                value: binding.clone(),
                revision,
                made: true,
            })
        })
    }

    /// What a request has come to that created a binding and was answered before.
    pub(crate) async fn repeated_binding(
        &self,
        request: Option<&Request>,
    ) -> Result<Option<Changed<RoleBinding>>, Error> {
        repeated(&mut self.database.read().await?, request).await
    }

    /// The binding of this name.
    pub(crate) async fn role_binding(
        &self,
        name: &RoleBindingName,
    ) -> Result<Option<RoleBinding>, Error> {
        find(&mut self.database.read().await?, name).await
    }

    /// The bindings that `listed` asks for, from the one after `after` on, ordered by resource and
    /// id. Those that have expired are among them.
    pub(crate) async fn role_bindings(
        &self,
        listed: &ListedBindings,
        after: Option<&RoleBindingName>,
        most: usize,
    ) -> Result<Vec<RoleBinding>, Error> {
        let ListedBindings {
            resource,
            descendants,
            principal,
        } = listed;
        // No binding has the nil id, and no resource an empty name.
        let (after_resource, after_id) = after.map_or_else(
            || (String::new(), Uuid::nil()),
            |name| (name.parent().to_string(), name.id().get()),
        );
        let mut connection = self.database.read().await?;
        let mut rows = Vec::new();
        for Span { first, last } in Span::of_resources(resource, *descendants) {
            let left = i64::try_from(most.saturating_sub(rows.len())).unwrap_or(i64::MAX);
            let mut args = args![first, last, &after_resource, after_id, left];
            let sql = match principal {
                None => {
                    "SELECT id, resource, principal, role, created_by, create_time, expire_time,
                            managed_by
                     FROM role_bindings
                     WHERE resource BETWEEN $1 AND $2 AND (resource, id) > ($3, $4)
                     ORDER BY resource, id LIMIT $5"
                }
                Some(principal) => {
                    args.push(principal.to_string().into());
                    "SELECT id, resource, principal, role, created_by, create_time, expire_time,
                            managed_by
                     FROM role_bindings
                     WHERE principal = $6
                       AND resource BETWEEN $1 AND $2 AND (resource, id) > ($3, $4)
                     ORDER BY resource, id LIMIT $5"
                }
            };
            rows.extend(connection.fetch_all::<BindingRow>(sql, args).await?);
        }
        rows.into_iter().map(RoleBinding::try_from).collect()
    }

    /// A binding of the role that has not expired, on a resource narrower than `level`.
    pub(crate) async fn binding_narrower_than(
        &self,
        level: Level,
        role: &RoleName,
        now: DateTime<Utc>,
    ) -> Result<Option<RoleBinding>, Error> {
        let narrower = match level {
            Level::System => "workspaces/%",
            Level::Workspace => "workspaces/%/deployments/%",
            Level::Deployment => return Ok(None),
        };
        let row = self
            .database
            .read()
            .await?
            .fetch_optional::<BindingRow>(
                "SELECT id, resource, principal, role, created_by, create_time, expire_time,
                        managed_by
                 FROM role_bindings
                 WHERE role = $1 AND resource LIKE $2 AND (expire_time IS NULL OR expire_time > $3)
                 ORDER BY resource, id LIMIT 1",
                args![role.to_string(), narrower, now],
            )
            .await?;
        row.map(RoleBinding::try_from).transpose()
    }

    /// Deletes a binding. The last one that makes somebody SYSTEM_ADMIN for ever stays.
    pub(crate) async fn delete_role_binding(
        &self,
        decided_at: PolicyRevision,
        name: &RoleBindingName,
        author: &Author,
        request: Option<&Request>,
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
            let deleted = delete(transaction, name).await?;
            check_administrator_left(transaction, &deleted).await?;
            let changes = [Change::RoleBindingDeleted(deleted)];
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

/// The binding that a request has made, if it was answered before. What is answered is committed, so
/// that the revision, which is read last, has it also outside of a transaction.
async fn repeated(
    connection: &mut Connection,
    request: Option<&Request>,
) -> Result<Option<Changed<RoleBinding>>, Error> {
    let Some(name) = requests::replay::<Error>(connection, request).await? else {
        return Ok(None);
    };
    let name = name.parse().map_err(corrupt)?;
    let value = find(connection, &name).await?;
    Ok(Some(Changed {
        value: value.ok_or(Error::NoSuchBinding(name))?,
        revision: policy::current(connection).await?,
        made: false,
    }))
}

/// Inserts a binding that is not there.
pub(super) async fn insert(
    transaction: &mut Connection,
    binding: &RoleBinding,
) -> Result<(), Error> {
    let RoleBinding {
        name,
        principal,
        role,
        created_by,
        create_time,
        expire_time,
        managed_by,
    } = binding;
    transaction
        .execute(
            "INSERT INTO role_bindings
                 (id, resource, principal, role, created_by, create_time, expire_time, managed_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            args![
                name.id().get(),
                name.parent().to_string(),
                principal.to_string(),
                role.to_string(),
                created_by.to_string(),
                *create_time,
                *expire_time,
                managed_by.as_ref().map(ToString::to_string),
            ],
        )
        .await?;
    Ok(())
}

/// Changes when a binding expires, and which policy file keeps it: what else it says stays.
pub(super) async fn update(
    transaction: &mut Connection,
    binding: &RoleBinding,
) -> Result<(), Error> {
    let RoleBinding {
        name,
        principal: _,
        role: _,
        created_by: _,
        create_time: _,
        expire_time,
        managed_by,
    } = binding;
    let updated = transaction
        .execute(
            "UPDATE role_bindings SET expire_time = $1, managed_by = $2
             WHERE id = $3 AND resource = $4",
            args![
                *expire_time,
                managed_by.as_ref().map(ToString::to_string),
                name.id().get(),
                name.parent().to_string(),
            ],
        )
        .await?;
    if updated == 1 {
        Ok(())
    } else {
        Err(Error::NoSuchBinding(name.clone()))
    }
}

/// Deletes a binding, and tells what it was.
pub(super) async fn delete(
    transaction: &mut Connection,
    name: &RoleBindingName,
) -> Result<RoleBinding, Error> {
    let deleted = transaction
        .fetch_optional::<BindingRow>(
            "DELETE FROM role_bindings WHERE id = $1 AND resource = $2
             RETURNING id, resource, principal, role, created_by, create_time, expire_time,
                       managed_by",
            args![name.id().get(), name.parent().to_string()],
        )
        .await?;
    deleted
        .ok_or_else(|| Error::NoSuchBinding(name.clone()))?
        .try_into()
}

/// Fails if the role has bindings that have not expired.
pub(super) async fn check_unbound(
    transaction: &mut Connection,
    role: &RoleName,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let (bound,) = transaction
        .fetch_one::<(i64,)>(
            "SELECT COUNT(*) FROM role_bindings
             WHERE role = $1 AND (expire_time IS NULL OR expire_time > $2)",
            args![role.to_string(), now],
        )
        .await?;
    if bound == 0 {
        return Ok(());
    }
    let role = role.clone();
    Err(Error::RoleBound { role, bound })
}

/// Deletes every binding of a role, and tells what they were, ordered by name.
pub(super) async fn delete_all_of(
    transaction: &mut Connection,
    role: &RoleName,
) -> Result<Vec<RoleBinding>, Error> {
    let deleted = transaction
        .fetch_all::<BindingRow>(
            "DELETE FROM role_bindings WHERE role = $1
             RETURNING id, resource, principal, role, created_by, create_time, expire_time,
                       managed_by",
            args![role.to_string()],
        )
        .await?;
    let deleted = deleted.into_iter().map(RoleBinding::try_from);
    let mut deleted = deleted.collect::<Result<Vec<_>, _>>()?;
    deleted.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(deleted)
}

/// Fails if nobody is SYSTEM_ADMIN for ever any more, now that the binding was deleted, or was made
/// to expire. The lock on the policy keeps others from changing that.
pub(super) async fn check_administrator_left(
    transaction: &mut Connection,
    before: &RoleBinding,
) -> Result<(), Error> {
    let administrator = RoleName::built_in(SystemRole::SystemAdmin);
    if before.name.parent() != ResourceName::System
        || before.role != administrator
        || before.expire_time.is_some()
    {
        return Ok(());
    }
    let (left,) = transaction
        .fetch_one::<(i64,)>(
            "SELECT COUNT(*) FROM role_bindings
             WHERE resource = $1 AND role = $2 AND expire_time IS NULL",
            args![ResourceName::System.to_string(), administrator.to_string()],
        )
        .await?;
    if left == 0 {
        return Err(Error::LastAdministrator(before.name.clone()));
    }
    Ok(())
}

/// All bindings; they are not bounded, since the index has all of them.
pub(super) async fn all(connection: &mut Connection) -> Result<Vec<BindingRow>, Error> {
    let rows = connection
        .fetch_all::<BindingRow>(
            "SELECT id, resource, principal, role, created_by, create_time, expire_time, managed_by
             FROM role_bindings",
            args![],
        )
        .await?;
    Ok(rows)
}

async fn find(
    connection: &mut Connection,
    name: &RoleBindingName,
) -> Result<Option<RoleBinding>, Error> {
    let row = connection
        .fetch_optional::<BindingRow>(
            "SELECT id, resource, principal, role, created_by, create_time, expire_time, managed_by
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
            "SELECT id, resource, principal, role, created_by, create_time, expire_time, managed_by
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
