//! Service accounts, and what is known of their tokens.

use chassis::database::{Connection, time};
use chassis::requests::{self, Request};
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::names::{ResourceName, ServiceAccountName};
use uuid::Uuid;

use super::error::corrupt;
use super::{Changed, Error, Store, limits, policy, policy_changes};
use crate::domain::policy::PolicyRevision;
use crate::domain::policy_change::{Author, Change};
use crate::domain::tokens::{
    KEPT_AFTER_EXPIRY, Revocation, ServiceAccountToken, TokenId, TokenName,
};

/// Whose tokens are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Accounts {
    /// One account's.
    One(ServiceAccountName),
    /// Those of all accounts of the resource itself.
    Of(ResourceName),
}

impl Accounts {
    /// Where their names begin and end.
    fn bounds(&self) -> (String, String) {
        match self {
            Self::One(account) => (account.to_string(), account.to_string()),
            // The character after the slash.
            Self::Of(parent) => (
                format!("{parent}/serviceAccounts/"),
                format!("{parent}/serviceAccounts0"),
            ),
        }
    }
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: Uuid,
    account: String,
    description: String,
    expire_time: i64,
    created_by: String,
    create_time: i64,
    last_use_time: Option<i64>,
    revoke_time: Option<i64>,
    revoked_by: Option<String>,
    revoke_reason: Option<String>,
}

impl TryFrom<TokenRow> for ServiceAccountToken {
    type Error = Error;

    fn try_from(row: TokenRow) -> Result<Self, Error> {
        let TokenRow {
            id,
            account,
            description,
            expire_time,
            created_by,
            create_time,
            last_use_time,
            revoke_time,
            revoked_by,
            revoke_reason,
        } = row;
        let revocation = match (revoke_time, revoked_by, revoke_reason) {
            (None, None, None) => None,
            (Some(at), Some(by), Some(reason)) => Some(Revocation {
                time: time(at)?,
                by: by.parse().map_err(corrupt)?,
                reason,
            }),
            (_, _, _) => return Err(corrupt("a token is revoked in parts")),
        };
        Ok(Self {
            name: TokenName {
                account: account.parse().map_err(corrupt)?,
                id: TokenId(id),
            },
            description,
            expire_time: time(expire_time)?,
            created_by: created_by.parse().map_err(corrupt)?,
            create_time: time(create_time)?,
            last_use_time: last_use_time.map(time).transpose()?,
            revocation,
        })
    }
}

impl Store {
    /// Keeps what is known of a new token, and makes its account with the first one.
    ///
    /// It does not change the policy, but must not race with a change of it: what the account holds
    /// was looked at.
    pub(crate) async fn create_service_account_token(
        &self,
        decided_at: PolicyRevision,
        token: &ServiceAccountToken,
        request: Option<&Request>,
    ) -> Result<Changed<ServiceAccountToken>, Error> {
        let ServiceAccountToken {
            name: TokenName { account, id },
            description,
            expire_time,
            created_by,
            create_time,
            last_use_time: _,
            revocation: _,
        } = token;
        transaction!(self.database, |transaction| {
            if let Some(changed) = repeated(transaction, account, request).await? {
                return Ok(changed);
            }
            policy::hold(transaction, decided_at).await?;
            transaction
                .execute(
                    "INSERT INTO service_accounts (name, created_by, create_time)
                         VALUES ($1, $2, $3)
                         ON CONFLICT DO NOTHING",
                    args![account.to_string(), created_by.to_string(), *create_time],
                )
                .await?;
            transaction
                .execute(
                    "INSERT INTO service_account_tokens
                             (id, account, description, expire_time, created_by, create_time)
                         VALUES ($1, $2, $3, $4, $5, $6)",
                    args![
                        id.0,
                        account.to_string(),
                        description,
                        *expire_time,
                        created_by.to_string(),
                        *create_time,
                    ],
                )
                .await?;
            limits::check_tokens(transaction, account, *create_time).await?;
            requests::remember(transaction, request, id, *create_time).await?;
            Ok(Changed {
                value: token.clone(),
                revision: decided_at,
                made: true,
            })
        })
    }

    /// What a request has come to that made a token of the account and was answered before.
    pub(crate) async fn repeated_token(
        &self,
        account: &ServiceAccountName,
        request: Option<&Request>,
    ) -> Result<Option<Changed<ServiceAccountToken>>, Error> {
        repeated(&mut self.database.read().await?, account, request).await
    }

    /// The tokens of these accounts, from the one after `after` on, ordered by account and id; if
    /// `active_at` is given, only those that count then.
    pub(crate) async fn service_account_tokens(
        &self,
        accounts: &Accounts,
        active_at: Option<DateTime<Utc>>,
        after: Option<&TokenName>,
        most: i64,
    ) -> Result<Vec<ServiceAccountToken>, Error> {
        let (first, last) = accounts.bounds();
        // No token has the nil id.
        let (after, after_id) = after.map_or((first.clone(), Uuid::nil()), |name| {
            (name.account.to_string(), name.id.0)
        });
        let rows = self
            .database
            .read()
            .await?
            .fetch_all::<TokenRow>(
                "SELECT id, account, description, expire_time, created_by, create_time,
                        last_use_time, revoke_time, revoked_by, revoke_reason
                 FROM service_account_tokens
                 WHERE account >= $1 AND account <= $2 AND (account, id) > ($3, $4)
                   AND ($5 OR (revoke_time IS NULL AND expire_time > $6))
                 ORDER BY account, id LIMIT $7",
                args![
                    first,
                    last,
                    after,
                    after_id,
                    active_at.is_none(),
                    active_at,
                    most
                ],
            )
            .await?;
        rows.into_iter()
            .map(ServiceAccountToken::try_from)
            .collect()
    }

    /// Ends a token before its time. One that was revoked before stays as it is.
    pub(crate) async fn revoke_service_account_token(
        &self,
        decided_at: PolicyRevision,
        name: &TokenName,
        author: &Author,
    ) -> Result<Changed<ServiceAccountToken>, Error> {
        let Author {
            principal,
            time,
            reason,
            managed_by: _,
        } = author;
        transaction!(self.database, |transaction| {
            let Some(found) = find(transaction, name).await? else {
                return Err(Error::NoSuchToken(name.clone()));
            };
            if found.revocation.is_some() {
                let revision = policy::current(transaction).await?;
                return Ok(Changed {
                    value: found,
                    revision,
                    made: false,
                });
            }
            let revision = policy::advance(transaction, decided_at).await?;
            transaction
                .execute(
                    "UPDATE service_account_tokens
                         SET revoke_time = $2, revoked_by = $3, revoke_reason = $4
                         WHERE id = $1",
                    args![name.id.0, *time, principal.to_string(), reason],
                )
                .await?;
            let changes = [Change::TokenRevoked {
                account: name.account.clone(),
                id: name.id,
            }];
            policy_changes::record(transaction, revision, author, &changes).await?;
            let revocation = Revocation {
                time: *time,
                by: principal.clone(),
                reason: reason.clone(),
            };
            Ok(Changed {
                value: ServiceAccountToken {
                    revocation: Some(revocation),
                    ..found
                },
                revision,
                made: true,
            })
        })
    }

    /// Remembers when these tokens were last seen. Give them in order of their ids, so that two
    /// replicas do not wait for each other; of tokens that are not known nothing is kept.
    pub(crate) async fn remember_uses(
        &self,
        uses: &[(TokenId, DateTime<Utc>)],
    ) -> Result<(), Error> {
        transaction!(self.database, |transaction| {
            for (id, time) in uses {
                transaction
                    .execute(
                        "UPDATE service_account_tokens SET last_use_time = $2
                             WHERE id = $1 AND (last_use_time IS NULL OR last_use_time < $2)",
                        args![id.0, *time],
                    )
                    .await?;
            }
            Ok(())
        })
    }

    /// Forgets the tokens that expired long before `now`, and tells how many.
    pub(crate) async fn forget_old_tokens(&self, now: DateTime<Utc>) -> Result<u64, Error> {
        transaction!(self.database, |transaction| {
            let forgotten = transaction
                .execute(
                    "DELETE FROM service_account_tokens WHERE expire_time < $1",
                    args![now - KEPT_AFTER_EXPIRY],
                )
                .await?;
            Ok(forgotten)
        })
    }
}

/// The token that a request has made, if it was answered before.
async fn repeated(
    connection: &mut Connection,
    account: &ServiceAccountName,
    request: Option<&Request>,
) -> Result<Option<Changed<ServiceAccountToken>>, Error> {
    let Some(id) = requests::replay::<Error>(connection, request).await? else {
        return Ok(None);
    };
    let name = TokenName {
        account: account.clone(),
        id: TokenId::parse(&id).ok_or_else(|| corrupt("no id of a token"))?,
    };
    let value = find(connection, &name).await?;
    Ok(Some(Changed {
        value: value.ok_or_else(|| corrupt("a token that was created is gone"))?,
        revision: policy::current(connection).await?,
        made: false,
    }))
}

async fn find(
    connection: &mut Connection,
    name: &TokenName,
) -> Result<Option<ServiceAccountToken>, Error> {
    let row = connection
        .fetch_optional::<TokenRow>(
            "SELECT id, account, description, expire_time, created_by, create_time,
                    last_use_time, revoke_time, revoked_by, revoke_reason
             FROM service_account_tokens WHERE id = $1 AND account = $2",
            args![name.id.0, name.account.to_string()],
        )
        .await?;
    row.map(ServiceAccountToken::try_from).transpose()
}
