//! Service accounts, and what is known of their tokens.

use chassis::database::{Connection, time};
use chassis::requests::{self, Request};
use chassis::{args, transaction};
use uuid::Uuid;

use super::error::corrupt;
use super::{Changed, Error, Store, policy};
use crate::domain::policy::PolicyRevision;
use crate::domain::tokens::{ServiceAccountToken, TokenId};

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: Uuid,
    account: String,
    description: String,
    expire_time: i64,
    created_by: String,
    create_time: i64,
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
        } = row;
        Ok(Self {
            id: TokenId(id),
            account: account.parse().map_err(corrupt)?,
            description,
            expire_time: time(expire_time)?,
            created_by: created_by.parse().map_err(corrupt)?,
            create_time: time(create_time)?,
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
            id,
            account,
            description,
            expire_time,
            created_by,
            create_time,
        } = token;
        transaction!(self.database, |transaction| {
            if let Some(id) = requests::replay::<Error>(transaction, request).await? {
                let id = TokenId::parse(&id).ok_or_else(|| corrupt("no id of a token"))?;
                let value = find(transaction, id)
                    .await?
                    .ok_or_else(|| corrupt("a token that was created is gone"))?;
                let revision = policy::current(transaction).await?;
                return Ok(Changed {
                    value,
                    revision,
                    made: false,
                });
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
            requests::remember(transaction, request, id, *create_time).await?;
            Ok(Changed {
                value: token.clone(),
                revision: decided_at,
                made: true,
            })
        })
    }
}

async fn find(
    connection: &mut Connection,
    id: TokenId,
) -> Result<Option<ServiceAccountToken>, Error> {
    let row = connection
        .fetch_optional::<TokenRow>(
            "SELECT id, account, description, expire_time, created_by, create_time
             FROM service_account_tokens WHERE id = $1",
            args![id.0],
        )
        .await?;
    row.map(ServiceAccountToken::try_from).transpose()
}
