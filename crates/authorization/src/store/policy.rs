//! The revision of the policy, and the whole policy at once.

use chassis::database::{Connection, time};
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::names::{
    Principal, PrincipalId, ResourceName, RoleBindingId, RoleBindingName, RoleName, ServiceName,
};
use model::roles::SystemRole;
use uuid::Uuid;

use super::error::corrupt;
use super::roles::stored_permissions;
use super::{Error, Store, policy_changes, role_bindings};
use crate::domain::index::{BindingRow, BuiltInRoleChangeRow, PolicyRows, RoleRow};
use crate::domain::policy::{PolicyRevision, RoleBinding};
use crate::domain::policy_change::{Author, Change};
use crate::domain::tokens::{TokenId, TokenRecord};

/// The revision of the first policy.
const FIRST: PolicyRevision = PolicyRevision(1);

/// How things stand right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// The newest policy.
    pub(crate) revision: PolicyRevision,
    /// What is known of the token that was asked for.
    pub(crate) token: Option<TokenRecord>,
}

#[derive(sqlx::FromRow)]
struct FreshnessRow {
    revision: i64,
    account: Option<String>,
    expire_time: Option<i64>,
    revoke_time: Option<i64>,
}

impl Store {
    /// Makes the first policy, if there is none: `administrator` is SYSTEM_ADMIN, and nobody else
    /// anything. Tells whether it did.
    ///
    /// It is done once in the life of a database, however many replicas start at the same time, and
    /// never again, also when the binding was removed.
    pub(crate) async fn bootstrap(
        &self,
        administrator: &PrincipalId,
        binding: RoleBindingId,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let author = Author {
            principal: Principal::Service(ServiceName::Authorization),
            time: now,
            reason: "the first policy".to_owned(),
            managed_by: None,
        };
        let binding = RoleBinding {
            name: RoleBindingName::new(ResourceName::System, binding),
            principal: Principal::User(administrator.clone()),
            role: RoleName::built_in(SystemRole::SystemAdmin),
            created_by: author.principal.clone(),
            create_time: now,
            expire_time: None,
            managed_by: None,
        };
        transaction!(self.database, |transaction| {
            // Another replica's insert is waited for, and then conflicts.
            let first = transaction
                .execute(
                    "INSERT INTO policy (singleton, revision) VALUES (1, $1) ON CONFLICT DO NOTHING",
                    args![FIRST.0],
                )
                .await?;
            if first == 0 {
                return Ok(false);
            }
            role_bindings::insert(transaction, &binding).await?;
            let changes = [Change::RoleBindingCreated(binding.clone())];
            policy_changes::record(transaction, FIRST, &author, &changes).await?;
            Ok(true)
        })
    }

    /// The newest policy revision, and what is known of one token of a service account.
    pub(crate) async fn freshness(&self, token: Option<TokenId>) -> Result<Freshness, Error> {
        let FreshnessRow {
            revision,
            account,
            expire_time,
            revoke_time,
        } = self
            .database
            .read()
            .await?
            .fetch_one(
                "SELECT policy.revision, token.account, token.expire_time, token.revoke_time
                 FROM policy LEFT JOIN service_account_tokens AS token ON token.id = $1",
                args![token.map(|TokenId(id)| id)],
            )
            .await?;
        let token = match (account, expire_time) {
            (Some(account), Some(expire_time)) => Some(TokenRecord {
                account: account.parse().map_err(corrupt)?,
                expire_time: time(expire_time)?,
                revoked: revoke_time.is_some(),
            }),
            _ => None,
        };
        Ok(Freshness {
            revision: PolicyRevision(revision),
            token,
        })
    }

    /// All roles and bindings, and the tokens that were revoked and have not expired at the time
    /// `now`. Its statements see one snapshot, so that all of it is of one revision; its rows are not
    /// bounded, since the index has all of them.
    pub(crate) async fn policy(&self, now: DateTime<Utc>) -> Result<PolicyRows, Error> {
        let mut snapshot = self.database.snapshot().await?;
        let revision = current(&mut snapshot).await?;
        let bindings = snapshot
            .fetch_all::<(Uuid, String, String, String, Option<i64>)>(
                "SELECT id, resource, principal, role, expire_time FROM role_bindings",
                args![],
            )
            .await?;
        let roles = snapshot
            .fetch_all::<(String, String)>("SELECT name, permissions FROM roles", args![])
            .await?;
        let changes = snapshot
            .fetch_all::<(String, String, bool)>(
                "SELECT role, permission, held FROM built_in_role_changes",
                args![],
            )
            .await?;
        let revoked = snapshot
            .fetch_all::<(Uuid,)>(
                "SELECT id FROM service_account_tokens
                 WHERE revoke_time IS NOT NULL AND expire_time > $1",
                args![now],
            )
            .await?;
        Ok(PolicyRows {
            revision,
            built_in_role_changes: changes
                .into_iter()
                .map(|(role, permission, held)| BuiltInRoleChangeRow {
                    role,
                    permission,
                    held,
                })
                .collect(),
            roles: roles
                .into_iter()
                .map(|(name, permissions)| RoleRow {
                    name,
                    permissions: stored_permissions(&permissions).ok(),
                })
                .collect(),
            bindings: bindings
                .into_iter()
                .map(|(id, resource, principal, role, expire_time)| BindingRow {
                    id: RoleBindingId::new(id),
                    resource,
                    principal,
                    role,
                    expire_time,
                })
                .collect(),
            revoked: revoked.into_iter().map(|(id,)| TokenId(id)).collect(),
        })
    }
}

/// Moves the policy on from the revision that a change was decided at, and locks it until the end
/// of the transaction.
pub(super) async fn advance(
    transaction: &mut Connection,
    decided_at: PolicyRevision,
) -> Result<PolicyRevision, Error> {
    let moved = transaction
        .fetch_optional::<(i64,)>(
            "UPDATE policy SET revision = revision + 1 WHERE revision = $1 RETURNING revision",
            args![decided_at.0],
        )
        .await?;
    moved
        .map(|(revision,)| PolicyRevision(revision))
        .ok_or(Error::PolicyMoved)
}

/// Makes sure that the policy is still at the revision that something was decided at, and keeps it
/// there until the end of the transaction.
pub(super) async fn hold(
    transaction: &mut Connection,
    decided_at: PolicyRevision,
) -> Result<(), Error> {
    let held = transaction
        .execute(
            "UPDATE policy SET revision = revision WHERE revision = $1",
            args![decided_at.0],
        )
        .await?;
    if held == 1 {
        Ok(())
    } else {
        Err(Error::PolicyMoved)
    }
}

/// The revision that a transaction sees.
pub(super) async fn current(connection: &mut Connection) -> Result<PolicyRevision, Error> {
    let (revision,) = connection
        .fetch_one::<(i64,)>("SELECT revision FROM policy", args![])
        .await?;
    Ok(PolicyRevision(revision))
}
