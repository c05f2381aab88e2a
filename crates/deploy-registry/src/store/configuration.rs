//! How a Deployment is configured, and its end.

use chassis::database::Connection;
use chassis::requests::{self, Request};
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::DeploymentName;

use super::changes::{count, log, open};
use super::deployments::{deployment, replay};
use super::states::is_unfinished;
use super::{Error, Store, documents};
use crate::domain::{ChangeKind, Deployment, DeploymentChanges};

impl Store {
    /// Changes how a Deployment is configured. What is so already is no change.
    pub(crate) async fn update_deployment(
        &self,
        name: &DeploymentName,
        changes: &DeploymentChanges,
        etag: &str,
        request: Option<&Request>,
        now: DateTime<Utc>,
    ) -> Result<Deployment, Error> {
        transaction!(self.database, |tx| {
            if let Some(deployment) = replay(tx, request).await? {
                return Ok(deployment);
            }
            let before = open(tx, name, etag).await?;
            let after = changes.onto(&before);
            if after.delivery != before.delivery {
                require_finished(tx, &before).await?;
            }
            if after != before {
                save(tx, &after).await?;
                let counted = count(tx, before.uid, now).await?;
                log(tx, counted, ChangeKind::DeploymentUpdated, None).await?;
            }
            requests::remember(tx, request, name, now).await?;
            deployment(tx, name).await?.ok_or(Error::DeploymentMissing)
        })
    }

    /// Ends a Deployment. Its row and its history stay.
    pub(crate) async fn delete_deployment(
        &self,
        name: &DeploymentName,
        etag: &str,
        request: Option<&Request>,
        now: DateTime<Utc>,
    ) -> Result<Deployment, Error> {
        transaction!(self.database, |tx| {
            if let Some(deployment) = replay(tx, request).await? {
                return Ok(deployment);
            }
            let before = open(tx, name, etag).await?;
            require_finished(tx, &before).await?;
            let counted = count(tx, before.uid, now).await?;
            tx.execute(
                "UPDATE deployments SET delete_time = $2 WHERE uid = $1",
                args![before.uid.get(), counted.time],
            )
            .await?;
            log(tx, counted, ChangeKind::DeploymentDeleted, None).await?;
            requests::remember(tx, request, name, now).await?;
            deployment(tx, name).await?.ok_or(Error::DeploymentMissing)
        })
    }
}

/// Fails while a deploy is unfinished, which only the latest one can be.
async fn require_finished(tx: &mut Connection, deployment: &Deployment) -> Result<(), Error> {
    let latest = deployment.history.latest;
    if is_unfinished(tx, deployment.uid, latest).await? {
        return Err(Error::DeployUnfinished(latest));
    }
    Ok(())
}

async fn save(tx: &mut Connection, deployment: &Deployment) -> Result<(), Error> {
    tx.execute(
        "UPDATE deployments
         SET display_name = $2, description = $3, labels = $4, dag_deploy_mode = $5,
             rollback_enabled = $6, settings = $7, delivery = $8, execution_mode = $9
         WHERE uid = $1",
        args![
            deployment.uid.get(),
            &deployment.display_name,
            &deployment.description,
            documents::write_map(&deployment.labels)?,
            deployment.dag_deploy_mode.as_str(),
            deployment.rollback_enabled,
            documents::write_map(&deployment.settings)?,
            deployment.delivery.as_str(),
            deployment.execution_mode.as_str(),
        ],
    )
    .await?;
    Ok(())
}
