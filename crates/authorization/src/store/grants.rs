//! Grants: what the first permit of a rollback leaves. Their time is the database's, which all
//! replicas share.

use chassis::database::{Connection, time};
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::names::{DeployNumber, Principal, RollbackId};
use model::permissions::{Permission, PermissionSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::corrupt;
use super::{Error, Store, document};
use crate::domain::rollback_grant::{
    Bound, GRANT_LIFETIME, Grantee, KEPT_AFTER_EXPIRY, RollbackGrant,
};

/// A grant as it was found, or just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredGrant {
    /// The grant.
    pub(crate) grant: RollbackGrant,
    /// Whether its time is over.
    pub(crate) expired: bool,
}

#[derive(sqlx::FromRow)]
struct GrantRow {
    person: String,
    groups: String,
    token_id: Option<String>,
    bound: String,
    expire_time: i64,
}

#[derive(Serialize, Deserialize)]
struct Groups {
    groups: Vec<String>,
}

/// [`Bound`] as it is stored: names and enums as their texts.
#[derive(Serialize, Deserialize)]
struct BoundDocument {
    rollback: String,
    deployment_uid: Uuid,
    target_deploy: i64,
    expected_latest_deploy: i64,
    scope: String,
    permissions: Vec<String>,
    /// Rows from before there were holds say nothing.
    #[serde(default)]
    hold: bool,
    revision_digest: String,
    plan_digest: String,
}

impl From<&Bound> for BoundDocument {
    fn from(bound: &Bound) -> Self {
        let Bound {
            rollback,
            deployment_uid,
            target_deploy,
            expected_latest_deploy,
            scope,
            permissions,
            hold,
            revision_digest,
            plan_digest,
        } = bound;
        Self {
            rollback: rollback.to_string(),
            deployment_uid: *deployment_uid,
            target_deploy: target_deploy.get(),
            expected_latest_deploy: expected_latest_deploy.get(),
            scope: scope.to_string(),
            permissions: permissions
                .iter()
                .map(|permission| permission.to_string())
                .collect(),
            hold: *hold,
            revision_digest: revision_digest.clone(),
            plan_digest: plan_digest.clone(),
        }
    }
}

impl TryFrom<BoundDocument> for Bound {
    type Error = Error;

    fn try_from(document: BoundDocument) -> Result<Self, Error> {
        let BoundDocument {
            rollback,
            deployment_uid,
            target_deploy,
            expected_latest_deploy,
            scope,
            permissions,
            hold,
            revision_digest,
            plan_digest,
        } = document;
        let permissions = permissions.iter().map(|name| name.parse::<Permission>());
        Ok(Self {
            rollback: rollback.parse().map_err(corrupt)?,
            deployment_uid,
            target_deploy: DeployNumber::new(target_deploy).map_err(corrupt)?,
            expected_latest_deploy: DeployNumber::new(expected_latest_deploy).map_err(corrupt)?,
            scope: scope.parse().map_err(corrupt)?,
            permissions: permissions
                .collect::<Result<PermissionSet, _>>()
                .map_err(corrupt)?,
            hold,
            revision_digest,
            plan_digest,
        })
    }
}

impl TryFrom<GrantRow> for RollbackGrant {
    type Error = Error;

    fn try_from(row: GrantRow) -> Result<Self, Error> {
        let GrantRow {
            person,
            groups,
            token_id,
            bound,
            expire_time,
        } = row;
        let Groups { groups } = document::read(&groups)?;
        let groups = groups.iter().map(|group| group.parse::<Principal>());
        Ok(Self {
            grantee: Grantee {
                person: person.parse().map_err(corrupt)?,
                groups: groups.collect::<Result<_, _>>().map_err(corrupt)?,
                token_id,
            },
            bound: document::read::<BoundDocument>(&bound)?.try_into()?,
            expire_time: time(expire_time)?,
        })
    }
}

impl Store {
    /// Keeps a grant from now on, or finds the one that the rollback has: of several calls at the
    /// same time, all get the same.
    pub(crate) async fn keep_grant(
        &self,
        grantee: &Grantee,
        bound: &Bound,
    ) -> Result<StoredGrant, Error> {
        let Grantee {
            person,
            groups,
            token_id,
        } = grantee;
        let groups = groups.iter().map(ToString::to_string).collect();
        let groups = document::write(&Groups { groups })?;
        let document = document::write(&BoundDocument::from(bound))?;
        transaction!(self.database, |transaction| {
            let now = transaction.database_time().await?;
            let expire_time = now + GRANT_LIFETIME;
            let inserted = transaction
                    .execute(
                        "INSERT INTO grants
                             (rollback_id, person, groups, token_id, bound, expire_time, create_time)
                         VALUES ($1, $2, $3, $4, $5, $6, $7)
                         ON CONFLICT DO NOTHING",
                        args![
                            bound.rollback.id().get(),
                            person.to_string(),
                            &groups,
                            token_id.clone(),
                            &document,
                            expire_time,
                            now,
                        ],
                    )
                    .await?;
            if inserted == 1 {
                let grant = RollbackGrant {
                    grantee: grantee.clone(),
                    bound: bound.clone(),
                    expire_time,
                };
                return Ok(StoredGrant {
                    grant,
                    expired: false,
                });
            }
            find(transaction, bound.rollback.id())
                .await?
                .ok_or_else(|| corrupt("a grant was forgotten before its time"))
        })
    }

    /// The grant of a rollback.
    pub(crate) async fn grant(&self, rollback: RollbackId) -> Result<Option<StoredGrant>, Error> {
        find(&mut self.database.read().await?, rollback).await
    }

    /// Forgets the grants that expired long ago, and tells how many.
    pub(crate) async fn forget_old_grants(&self) -> Result<u64, Error> {
        transaction!(self.database, |transaction| {
            let now = transaction.database_time().await?;
            let forgotten = transaction
                .execute(
                    "DELETE FROM grants WHERE expire_time < $1",
                    args![now - KEPT_AFTER_EXPIRY],
                )
                .await?;
            Ok(forgotten)
        })
    }
}

async fn find(
    connection: &mut Connection,
    rollback: RollbackId,
) -> Result<Option<StoredGrant>, Error> {
    let row = connection
        .fetch_optional::<GrantRow>(
            "SELECT person, groups, token_id, bound, expire_time
             FROM grants WHERE rollback_id = $1",
            args![rollback.get()],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let grant = RollbackGrant::try_from(row)?;
    let now: DateTime<Utc> = connection.database_time().await?;
    Ok(Some(StoredGrant {
        expired: grant.expire_time <= now,
        grant,
    }))
}
