//! The log of what changed about a Deployment: each value of its counter has one row.

use chassis::database::{Connection, time};
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::{DeployNumber, DeployState, DeploymentName, WorkspaceName};
use uuid::Uuid;

use super::deployments::{deployment, number};
use super::{Error, Store, rows};
use crate::domain::{Change, ChangeKind, Deployment, DeploymentUid, Standing};

/// A change that was counted, and is to be logged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) uid: DeploymentUid,
    pub(super) change: i64,
    /// When it is said to have happened: times of a history never run backwards, even if the clocks of
    /// two replicas differ.
    pub(super) time: DateTime<Utc>,
}

/// Which changes of a Deployment are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptChanges {
    pub(crate) name: DeploymentName,
    pub(crate) uid: DeploymentUid,
    /// How many there were.
    pub(crate) count: i64,
    /// The first one that is kept; None if none is.
    pub(crate) oldest: Option<i64>,
}

impl KeptChanges {
    /// Whether a change after this one is not kept any more.
    pub(crate) fn lacks_some_after(&self, after: i64) -> bool {
        after < self.count && self.oldest.is_none_or(|oldest| oldest > after + 1)
    }
}

#[derive(sqlx::FromRow)]
struct ChangeRow {
    change: i64,
    kind: String,
    number: Option<i64>,
    deploy_state: Option<String>,
    create_time: i64,
}

impl Store {
    /// How far the history of each Deployment has come.
    pub(crate) async fn standings(&self) -> Result<Vec<(DeploymentName, Standing)>, Error> {
        let mut connection = self.database.read().await?;
        let rows = connection
            .fetch_all::<(String, String, Uuid, i64)>(
                "SELECT workspace, deployment_id, uid, change FROM deployments",
                args![],
            )
            .await?;
        let standings = rows.into_iter().map(|(workspace, id, uid, count)| {
            let workspace = WorkspaceName::new(&workspace).map_err(Error::corrupt)?;
            let name = DeploymentName::new(&workspace, &id).map_err(Error::corrupt)?;
            let uid = DeploymentUid::new(uid);
            Ok((name, Standing { uid, count }))
        });
        standings.collect()
    }

    /// Which changes of the Deployments of a workspace are kept.
    pub(crate) async fn kept_changes(
        &self,
        workspace: &WorkspaceName,
    ) -> Result<Vec<KeptChanges>, Error> {
        let mut connection = self.database.read().await?;
        let rows = connection
            .fetch_all::<(String, Uuid, i64, Option<i64>)>(
                "SELECT d.deployment_id, d.uid, d.change,
                        (SELECT MIN(c.change) FROM deploy_changes c
                         WHERE c.deployment_uid = d.uid)
                 FROM deployments d
                 WHERE d.workspace = $1",
                args![workspace.id()],
            )
            .await?;
        let kept = rows.into_iter().map(|(id, uid, count, oldest)| {
            Ok(KeptChanges {
                name: DeploymentName::new(workspace, &id).map_err(Error::corrupt)?,
                uid: DeploymentUid::new(uid),
                count,
                oldest,
            })
        });
        kept.collect()
    }

    /// The next changes of a Deployment after the one with this number, at most `limit` of them, in
    /// order and without a gap.
    pub(crate) async fn changes(
        &self,
        uid: DeploymentUid,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Change>, Error> {
        let mut connection = self.database.read().await?;
        // Read first: what comes in between is told by the rows.
        let count = connection
            .fetch_optional::<(i64,)>(
                "SELECT change FROM deployments WHERE uid = $1",
                args![uid.get()],
            )
            .await?;
        let (count,) = count.ok_or(Error::DeploymentMissing)?;
        if after > count {
            return Err(Error::ChangeAhead(count));
        }
        let rows = connection
            .fetch_all::<ChangeRow>(
                "SELECT change, kind, number, deploy_state, create_time FROM deploy_changes
                 WHERE deployment_uid = $1 AND change > $2
                 ORDER BY change
                 LIMIT $3",
                args![uid.get(), after, rows(limit)],
            )
            .await?;
        let first = rows.first().map(|row| row.change);
        if first.map_or(count > after, |first| first != after + 1) {
            return Err(Error::ChangesTrimmed);
        }
        rows.into_iter().map(Change::try_from).collect()
    }

    /// The Deployments that have changed more often than this, and how often.
    pub(crate) async fn long_histories(
        &self,
        more_than: i64,
    ) -> Result<Vec<(DeploymentUid, i64)>, Error> {
        let mut connection = self.database.read().await?;
        let rows = connection
            .fetch_all::<(Uuid, i64)>(
                "SELECT uid, change FROM deployments WHERE change > $1",
                args![more_than],
            )
            .await?;
        let histories = rows.into_iter();
        Ok(histories
            .map(|(uid, change)| (DeploymentUid::new(uid), change))
            .collect())
    }

    /// Forgets the changes of a Deployment up to this one.
    pub(crate) async fn trim_changes_to(
        &self,
        uid: DeploymentUid,
        last: i64,
    ) -> Result<u64, Error> {
        transaction!(self.database, |tx| {
            Ok(tx
                .execute(
                    "DELETE FROM deploy_changes WHERE deployment_uid = $1 AND change <= $2",
                    args![uid.get(), last],
                )
                .await?)
        })
    }

    /// Forgets the changes from before a time.
    pub(crate) async fn trim_changes_before(&self, before: DateTime<Utc>) -> Result<u64, Error> {
        transaction!(self.database, |tx| {
            Ok(tx
                .execute(
                    "DELETE FROM deploy_changes WHERE create_time < $1",
                    args![before],
                )
                .await?)
        })
    }
}

impl TryFrom<ChangeRow> for Change {
    type Error = Error;

    fn try_from(row: ChangeRow) -> Result<Self, Error> {
        let ChangeRow {
            change,
            kind,
            number: deploy,
            deploy_state,
            create_time,
        } = row;
        let deploy = match (deploy, deploy_state) {
            (None, None) => None,
            (Some(deploy), Some(state)) => {
                Some((number(deploy)?, state.parse().map_err(Error::corrupt)?))
            }
            (Some(_), None) | (None, Some(_)) => {
                return Err(Error::corrupt("half a change of a deploy"));
            }
        };
        Ok(Self {
            change,
            kind: ChangeKind::from_text(&kind)
                .ok_or_else(|| Error::corrupt(format!("change {kind:?}")))?,
            deploy,
            time: time(create_time)?,
        })
    }
}

/// Locks the history of a Deployment to the end of the transaction.
pub(super) async fn lock(
    tx: &mut Connection,
    deployment: &DeploymentName,
) -> Result<Option<DeploymentUid>, Error> {
    let row = tx
        .fetch_optional::<(Uuid,)>(
            "UPDATE deployments SET change = change
             WHERE workspace = $1 AND deployment_id = $2
             RETURNING uid",
            args![deployment.workspace().id(), deployment.id()],
        )
        .await?;
    Ok(row.map(|(uid,)| DeploymentUid::new(uid)))
}

/// Locks a Deployment that can still be written to. With an `etag`, it must be the current one.
pub(super) async fn open(
    tx: &mut Connection,
    name: &DeploymentName,
    etag: &str,
) -> Result<Deployment, Error> {
    lock(tx, name).await?.ok_or(Error::DeploymentMissing)?;
    let found = deployment(tx, name).await?;
    let deployment = found.ok_or(Error::DeploymentMissing)?;
    if deployment.delete_time.is_some() {
        return Err(Error::DeploymentDeleted);
    }
    if !etag.is_empty() && etag != deployment.etag() {
        return Err(Error::EtagMismatch);
    }
    Ok(deployment)
}

/// Counts one more change of a Deployment whose history is locked.
pub(super) async fn count(
    tx: &mut Connection,
    uid: DeploymentUid,
    now: DateTime<Utc>,
) -> Result<Counted, Error> {
    let row = tx
        .fetch_optional::<(i64, i64)>(
            "UPDATE deployments
             SET change = change + 1,
                 update_time = CASE WHEN update_time > $2 THEN update_time ELSE $2 END
             WHERE uid = $1
             RETURNING change, update_time",
            args![uid.get(), now],
        )
        .await?;
    let (change, update_time) = row.ok_or(Error::DeploymentMissing)?;
    Ok(Counted {
        uid,
        change,
        time: time(update_time)?,
    })
}

/// Logs a change that was counted in this transaction.
pub(super) async fn log(
    tx: &mut Connection,
    counted: Counted,
    kind: ChangeKind,
    deploy: Option<(DeployNumber, DeployState)>,
) -> Result<(), Error> {
    let Counted { uid, change, time } = counted;
    tx.execute(
        "INSERT INTO deploy_changes
             (deployment_uid, change, kind, number, deploy_state, create_time)
         VALUES ($1, $2, $3, $4, $5, $6)",
        args![
            uid.get(),
            change,
            kind.as_str(),
            deploy.map(|(number, _)| number.get()),
            deploy.map(|(_, state)| state.as_str()),
            time,
        ],
    )
    .await?;
    Ok(())
}
