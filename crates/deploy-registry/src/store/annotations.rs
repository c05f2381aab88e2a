//! What is noted about a deploy after it was written.

use chassis::database::Connection;
use chassis::requests::{self, Request};
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::{DeployName, Principal};

use super::changes::{Counted, count, log, open};
use super::deploys::{Entry, entry, replay};
use super::{Error, Store};
use crate::domain::{ChangeKind, Deploy, DeployChanges, Pin, Verdict};

impl Store {
    /// Changes the description of a deploy, or pins it. What is so already is no change.
    pub(crate) async fn update_deploy(
        &self,
        name: &DeployName,
        changes: &DeployChanges,
        etag: &str,
        by: &Principal,
        request: Option<&Request>,
        now: DateTime<Utc>,
    ) -> Result<Entry, Error> {
        let DeployChanges {
            description,
            pinned,
        } = changes;
        transaction!(self.database, |tx| {
            if let Some(entry) = replay(tx, name.deployment(), request).await? {
                return Ok(entry);
            }
            let before = open_deploy(tx, name, etag).await?;
            let mut after = before.deploy.clone();
            if let Some(description) = description {
                after.description.clone_from(description);
            }
            if let Some(pinned) = *pinned
                && pinned != after.pin.is_some()
            {
                let by = by.clone();
                after.pin = pinned.then_some(Pin { by, time: now });
            }
            if after != before.deploy {
                let counted = count_deploy(tx, name, now).await?;
                save(tx, &after, counted).await?;
                let changed = Some((name.number(), after.state));
                log(tx, counted, ChangeKind::DeployUpdated, changed).await?;
            }
            requests::remember(tx, request, &name.number(), now).await?;
            entry(tx, name).await?.ok_or(Error::DeployMissing)
        })
    }

    /// Marks a deploy, or takes its mark away. The same verdict for the same reason is no change.
    pub(crate) async fn mark_deploy(
        &self,
        name: &DeployName,
        verdict: Option<(Verdict, &str)>,
        etag: &str,
        by: &Principal,
        now: DateTime<Utc>,
    ) -> Result<Entry, Error> {
        transaction!(self.database, |tx| {
            let before = open_deploy(tx, name, etag).await?;
            let found = before.deploy.mark.as_ref();
            if found.map(|mark| (mark.verdict, mark.reason.as_str())) == verdict {
                return Ok(before);
            }
            let counted = count_deploy(tx, name, now).await?;
            tx.execute(
                "UPDATE deploys
                 SET mark = $3, mark_reason = $4, mark_by = $5, mark_time = $6, update_time = $7,
                     change = $8
                 WHERE deployment_uid = $1 AND number = $2",
                args![
                    counted.uid.get(),
                    name.number().get(),
                    verdict.map(|(verdict, _)| verdict.as_str()),
                    verdict.map(|(_, reason)| reason),
                    verdict.map(|_| by.to_string()),
                    verdict.map(|_| counted.time),
                    counted.time,
                    counted.change,
                ],
            )
            .await?;
            let changed = Some((name.number(), before.deploy.state));
            log(tx, counted, ChangeKind::DeployMarked, changed).await?;
            entry(tx, name).await?.ok_or(Error::DeployMissing)
        })
    }
}

/// Locks the history of a deploy that can still be written to. With an `etag`, it must be the deploy's.
async fn open_deploy(tx: &mut Connection, name: &DeployName, etag: &str) -> Result<Entry, Error> {
    open(tx, name.deployment(), "").await?;
    let found = entry(tx, name).await?.ok_or(Error::DeployMissing)?;
    if !etag.is_empty() && etag != found.deploy.etag() {
        return Err(Error::EtagMismatch);
    }
    Ok(found)
}

async fn count_deploy(
    tx: &mut Connection,
    name: &DeployName,
    now: DateTime<Utc>,
) -> Result<Counted, Error> {
    let head = super::deployments::head(tx, name.deployment()).await?;
    let head = head.ok_or(Error::DeploymentMissing)?;
    count(tx, head.uid, now).await
}

async fn save(tx: &mut Connection, deploy: &Deploy, counted: Counted) -> Result<(), Error> {
    let pin = deploy.pin.as_ref();
    tx.execute(
        "UPDATE deploys
         SET description = $3, pin_by = $4, pin_time = $5, update_time = $6, change = $7
         WHERE deployment_uid = $1 AND number = $2",
        args![
            counted.uid.get(),
            deploy.name.number().get(),
            &deploy.description,
            pin.map(|pin| pin.by.to_string()),
            pin.map(|pin| pin.time),
            counted.time,
            counted.change,
        ],
    )
    .await?;
    Ok(())
}
