//! How far a deploy has come.

use chassis::database::Connection;
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::{DeployName, DeployNumber, DeployState};

use super::changes::{count, lock, log};
use super::deployments::deployment;
use super::deploys::{Entry, cease, entry};
use super::{Error, Store};
use crate::domain::{ChangeKind, Delivery, DeploymentUid, Final, Report, report};

impl Store {
    /// Takes a report of how the shipping of a deploy goes.
    pub(crate) async fn report_deploy_state(
        &self,
        name: &DeployName,
        reported: Report,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Entry, Error> {
        transaction!(self.database, |tx| {
            lock(tx, name.deployment())
                .await?
                .ok_or(Error::DeploymentMissing)?;
            let found = entry(tx, name).await?;
            let before = found.ok_or(Error::DeployMissing)?;
            let found = deployment(tx, name.deployment()).await?;
            let deployment = found.ok_or(Error::DeploymentMissing)?;
            match deployment.delivery {
                Delivery::Record => return Err(Error::ReportsNotTaken),
                Delivery::Agent => {}
            }
            let state = report(before.deploy.state, reported);
            let state = state.map_err(|Final(state)| Error::StateFinal(state))?;
            let Some(state) = state else {
                return Ok(before);
            };
            enter(tx, deployment.uid, name.number(), state, reason, now).await?;
            let after = entry(tx, name).await?;
            after.ok_or(Error::DeployMissing)
        })
    }
}

/// Lets a deploy that is unfinished be overtaken by another. Only the latest one can be unfinished,
/// since each deploy that is written overtakes the one before.
pub(super) async fn supersede(
    tx: &mut Connection,
    uid: DeploymentUid,
    number: DeployNumber,
    by: &DeployName,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if is_unfinished(tx, uid, number).await? {
        let reason = format!("{by} came before it was shipped");
        enter(tx, uid, number, DeployState::Superseded, &reason, now).await?;
    }
    Ok(())
}

/// Whether a deploy is there and can still be reported on.
pub(super) async fn is_unfinished(
    connection: &mut Connection,
    uid: DeploymentUid,
    number: DeployNumber,
) -> Result<bool, Error> {
    let row = connection
        .fetch_optional::<(String,)>(
            "SELECT state FROM deploys WHERE deployment_uid = $1 AND number = $2",
            args![uid.get(), number.get()],
        )
        .await?;
    match row {
        Some((state,)) => {
            let state = state.parse::<DeployState>().map_err(Error::corrupt)?;
            Ok(!state.is_final())
        }
        None => Ok(false),
    }
}

/// Lets a deploy enter a state. One that is DEPLOYED is what runs from now on.
async fn enter(
    tx: &mut Connection,
    uid: DeploymentUid,
    number: DeployNumber,
    state: DeployState,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let counted = count(tx, uid, now).await?;
    let deployed = state == DeployState::Deployed;
    tx.execute(
        "UPDATE deploys
         SET state = $3, state_reason = $4, update_time = $5, change = $6, deploy_time = $7
         WHERE deployment_uid = $1 AND number = $2",
        args![
            uid.get(),
            number.get(),
            state.as_str(),
            reason,
            counted.time,
            counted.change,
            deployed.then_some(counted.time),
        ],
    )
    .await?;
    if deployed {
        run(tx, uid, number, counted.time).await?;
    }
    let deploy = Some((number, state));
    log(tx, counted, ChangeKind::DeployStateChanged, deploy).await
}

/// Makes a deploy the current one.
async fn run(
    tx: &mut Connection,
    uid: DeploymentUid,
    number: DeployNumber,
    time: DateTime<Utc>,
) -> Result<(), Error> {
    let row = tx
        .fetch_optional::<(i64,)>(
            "UPDATE deployments SET previous_number = current_number, current_number = $2
             WHERE uid = $1
             RETURNING previous_number",
            args![uid.get(), number.get()],
        )
        .await?;
    let (previous,) = row.ok_or(Error::DeploymentMissing)?;
    cease(tx, uid, super::deployments::number(previous)?, time).await
}
