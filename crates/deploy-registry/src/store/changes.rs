//! The log of what changed about a Deployment: each value of its counter has one row.

use chassis::args;
use chassis::database::{Connection, time};
use chrono::{DateTime, Utc};
use model::{DeployNumber, DeployState, DeploymentName};
use uuid::Uuid;

use super::Error;
use super::deployments::deployment;
use crate::domain::{ChangeKind, Deployment, DeploymentUid};

/// A change that was counted, and is to be logged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) uid: DeploymentUid,
    pub(super) change: i64,
    /// When it is said to have happened: times of a history never run backwards, even if the clocks of
    /// two replicas differ.
    pub(super) time: DateTime<Utc>,
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
