//! Whether there is too much of something, looked at in the transaction that made one more. The lock
//! on the policy keeps others from making more at the same time.
//!
//! Nothing is counted further than is needed to tell.

use chassis::args;
use chassis::database::{Connection, Value};
use chrono::{DateTime, Utc};
use model::names::{ResourceName, RoleName, ServiceAccountName};

use super::Error;
use super::span::Span;
use crate::domain::limits::Limit;

/// Fails if a resource has too many custom roles of its own.
pub(super) async fn check_roles(
    transaction: &mut Connection,
    resource: &ResourceName,
) -> Result<(), Error> {
    let limit = Limit::Roles(resource.clone());
    let Span { first, last } = Span::of_roles(resource);
    let sql = "SELECT COUNT(*) FROM
                   (SELECT 1 FROM roles WHERE name BETWEEN $2 AND $3 LIMIT $1) AS counted";
    check(transaction, limit, sql, args![first, last]).await
}

/// Fails if there are too many bindings on a resource itself.
pub(super) async fn check_role_bindings(
    transaction: &mut Connection,
    resource: &ResourceName,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let limit = Limit::RoleBindings(resource.clone());
    let sql = "SELECT COUNT(*) FROM
                   (SELECT 1 FROM role_bindings
                    WHERE resource = $2 AND (expire_time IS NULL OR expire_time > $3)
                    LIMIT $1) AS counted";
    check(transaction, limit, sql, args![resource.to_string(), now]).await
}

/// Fails if a service account has too many tokens.
pub(super) async fn check_tokens(
    transaction: &mut Connection,
    account: &ServiceAccountName,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let active = Limit::ActiveTokens(account.clone());
    let sql = "SELECT COUNT(*) FROM
                   (SELECT 1 FROM service_account_tokens
                    WHERE account = $2 AND revoke_time IS NULL AND expire_time > $3
                    LIMIT $1) AS counted";
    check(transaction, active, sql, args![account.to_string(), now]).await?;
    let all = Limit::Tokens(account.clone());
    let sql = "SELECT COUNT(*) FROM
                   (SELECT 1 FROM service_account_tokens
                    WHERE account = $2 AND expire_time > $3
                    LIMIT $1) AS counted";
    check(transaction, all, sql, args![account.to_string(), now]).await
}

/// Fails if a role has too many bindings to delete them with it.
pub(super) async fn check_deleted_with_role(
    transaction: &mut Connection,
    role: &RoleName,
) -> Result<(), Error> {
    let limit = Limit::DeletedWithRole(role.clone());
    let sql = "SELECT COUNT(*) FROM
                   (SELECT 1 FROM role_bindings WHERE role = $2 LIMIT $1) AS counted";
    check(transaction, limit, sql, args![role.to_string()]).await
}

/// The statement counts as many as its first parameter says, and no more.
async fn check(
    transaction: &mut Connection,
    limit: Limit,
    sql: &'static str,
    which: Vec<Value>,
) -> Result<(), Error> {
    let most = limit.most();
    let mut args = args![most + 1];
    args.extend(which);
    let (found,) = transaction.fetch_one::<(i64,)>(sql, args).await?;
    if found > most {
        return Err(Error::LimitExceeded(limit));
    }
    Ok(())
}
