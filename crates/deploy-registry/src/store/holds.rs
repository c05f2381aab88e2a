//! What keeps new deploys away from a Deployment.

use chassis::database::Connection;
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::{DeploymentName, Principal};

use super::changes::{count, log, open};
use super::deployments::deployment;
use super::{Error, Store};
use crate::domain::{ChangeKind, Deployment, DeploymentUid, Hold};

impl Store {
    /// Places a hold, in the place of one that is on. To place the same again changes nothing.
    pub(crate) async fn place_hold(
        &self,
        name: &DeploymentName,
        reason: &str,
        by: &Principal,
        now: DateTime<Utc>,
    ) -> Result<Deployment, Error> {
        transaction!(self.database, |tx| {
            let before = open(tx, name, "").await?;
            if let Some(Hold {
                reason: old_reason,
                by: old_by,
                time: _,
            }) = &before.hold
                && (old_reason.as_str(), old_by) == (reason, by)
            {
                return Ok(before);
            }
            place(tx, before.uid, reason, by, now).await?;
            deployment(tx, name).await?.ok_or(Error::DeploymentMissing)
        })
    }

    /// Takes a hold off, if one is on.
    pub(crate) async fn release_hold(
        &self,
        name: &DeploymentName,
        now: DateTime<Utc>,
    ) -> Result<Deployment, Error> {
        transaction!(self.database, |tx| {
            let before = open(tx, name, "").await?;
            if before.hold.is_none() {
                return Ok(before);
            }
            let counted = count(tx, before.uid, now).await?;
            tx.execute(
                "UPDATE deployments
                 SET hold_reason = NULL, hold_by = NULL, hold_time = NULL
                 WHERE uid = $1",
                args![before.uid.get()],
            )
            .await?;
            log(tx, counted, ChangeKind::HoldReleased, None).await?;
            deployment(tx, name).await?.ok_or(Error::DeploymentMissing)
        })
    }
}

/// Places a hold on a Deployment whose history is locked.
pub(super) async fn place(
    tx: &mut Connection,
    uid: DeploymentUid,
    reason: &str,
    by: &Principal,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let counted = count(tx, uid, now).await?;
    tx.execute(
        "UPDATE deployments SET hold_reason = $2, hold_by = $3, hold_time = $4 WHERE uid = $1",
        args![uid.get(), reason, by.to_string(), counted.time],
    )
    .await?;
    log(tx, counted, ChangeKind::HoldPlaced, None).await
}
