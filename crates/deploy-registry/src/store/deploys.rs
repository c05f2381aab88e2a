use chassis::database::{Connection, time};
use chassis::requests::{self, Request};
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::{DeployName, DeployNumber, DeployState, DeploymentName, Principal};
use uuid::Uuid;

use super::bundles::bundles;
use super::changes::{Counted, lock, log};
use super::deploy_row::{DeployRow, select_deploys};
use super::deployments::{Head, deployment, head, number, read_delivery};
use super::states::supersede;
use super::{Attempt, Error, Listing, Reading, STEP, Store, documents, rows};
use crate::domain::{
    ChangeKind, Deploy, DeployFilter, DeploymentUid, GitSource, History, ImageVerification,
    Revision, Shipment, changed_components,
};

/// A deploy, and where the history stood when it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) deploy: Deploy,
    pub(crate) history: History,
}

/// A deploy that is to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct NewDeploy {
    pub(crate) deployment: DeploymentName,
    pub(crate) shipment: Shipment,
    pub(crate) image_verification: Option<ImageVerification>,
    pub(crate) description: String,
    pub(crate) git: Option<GitSource>,
    /// What the caller believes to be the latest deploy. None is no check.
    pub(crate) expected_latest: Option<DeployNumber>,
    pub(crate) created_by: Principal,
    pub(crate) time: DateTime<Utc>,
}

/// What the update tells that takes the next number.
#[derive(sqlx::FromRow)]
struct AdvancedRow {
    uid: Uuid,
    latest_number: i64,
    current_number: i64,
    previous_number: i64,
    delivery: String,
    dag_deploy_mode: String,
    settings: String,
    change: i64,
    update_time: i64,
}

impl Store {
    /// Records a deploy on top of the one before it.
    pub(crate) async fn create_deploy(
        &self,
        new: &NewDeploy,
        request: Option<&Request>,
        validate_only: bool,
    ) -> Result<Entry, Error> {
        Attempt::settle(transaction!(self.database, |tx| {
            Attempt::end(create(tx, new, request).await?, validate_only)
        }))
    }

    /// The deploy of a request that was answered before.
    pub(crate) async fn replayed_deploy(
        &self,
        deployment: &DeploymentName,
        request: &Request,
    ) -> Result<Option<Entry>, Error> {
        let mut connection = self.database.read().await?;
        replay(&mut connection, deployment, Some(request)).await
    }

    /// One deploy.
    pub(crate) async fn deploy(&self, name: &DeployName) -> Result<Option<Entry>, Error> {
        entry(&mut self.database.read().await?, name).await
    }

    /// At most `limit` deploys of a Deployment that `filter` lets through, newest first, from the one
    /// before `before`. None if there is no such Deployment.
    ///
    /// A bounded number of deploys is looked at. Where the last of them is not asked for, it stands at
    /// the end without contents: the next part begins after it.
    pub(crate) async fn list_deploys(
        &self,
        deployment: &DeploymentName,
        filter: &DeployFilter,
        before: Option<DeployNumber>,
        limit: usize,
    ) -> Result<Option<Listing<(DeployNumber, Option<Entry>)>>, Error> {
        let mut connection = self.database.read().await?;
        let Some(Head { uid, history }) = head(&mut connection, deployment).await? else {
            return Ok(None);
        };
        let mut before = before.unwrap_or(history.next()).min(history.next());
        let mut reading = Reading::new(limit);
        loop {
            let step = if filter.is_empty() {
                reading.step()
            } else {
                STEP
            };
            let rows = next_rows(&mut connection, uid, before, step).await?;
            let last = rows.len() < step;
            for row in rows {
                if reading.is_full() {
                    return Ok(Some(reading.end(true)));
                }
                let bytes = row.settings.len() + row.revision.len();
                before = number(row.number)?;
                let deploy = row.into_deploy(deployment)?;
                if filter.ends_before(&deploy) {
                    return Ok(Some(reading.end(false)));
                }
                if filter.lets_through(&deploy) {
                    let entry = Entry { deploy, history };
                    reading.push((before, Some(entry)), bytes);
                } else if reading.pass(bytes) {
                    reading.push((before, None), 0);
                    return Ok(Some(reading.end(true)));
                }
            }
            if last {
                return Ok(Some(reading.end(false)));
            }
        }
    }
}

/// The next rows of a list of deploys.
async fn next_rows(
    connection: &mut Connection,
    uid: DeploymentUid,
    before: DeployNumber,
    step: usize,
) -> Result<Vec<DeployRow>, Error> {
    Ok(connection
        .fetch_all(
            select_deploys!(
                "settings",
                "deployment_uid = $1 AND number < $2 ORDER BY number DESC LIMIT $3"
            ),
            args![uid.get(), before.get(), rows(step)],
        )
        .await?)
}

async fn create(
    tx: &mut Connection,
    new: &NewDeploy,
    request: Option<&Request>,
) -> Result<Entry, Error> {
    if let Some(entry) = replay(tx, &new.deployment, request).await? {
        return Ok(entry);
    }
    let row = match advance(tx, new).await? {
        Some(row) => row,
        None => {
            // What stood against it may be over by now: under the lock it stays as it is.
            lock(tx, &new.deployment).await?;
            // Whoever was faster may have been this very request.
            if let Some(entry) = replay(tx, &new.deployment, request).await? {
                return Ok(entry);
            }
            match advance(tx, new).await? {
                Some(row) => row,
                None => return Err(not_advanced(tx, &new.deployment).await?),
            }
        }
    };
    let entry = ship(tx, row, new).await?;
    let number = entry.deploy.name.number();
    requests::remember(tx, request, &number, entry.deploy.create_time).await?;
    Ok(entry)
}

/// Takes the next number, if the latest deploy is the expected one and nothing keeps deploys away. From here on to the end of the
/// transaction nobody else writes to the history, and if it fails nobody has.
///
/// With the delivery RECORD the new one is the current one at once. The time of the history never runs
/// backwards, even if the clocks of two replicas differ.
async fn advance(tx: &mut Connection, new: &NewDeploy) -> Result<Option<AdvancedRow>, Error> {
    Ok(tx
        .fetch_optional(
            "UPDATE deployments
             SET latest_number = latest_number + 1,
                 current_number =
                     CASE WHEN delivery = 'RECORD' THEN latest_number + 1 ELSE current_number END,
                 previous_number =
                     CASE WHEN delivery = 'RECORD' THEN current_number ELSE previous_number END,
                 change = change + 1,
                 update_time = CASE WHEN update_time > $4 THEN update_time ELSE $4 END
             WHERE workspace = $1 AND deployment_id = $2
               AND latest_number = COALESCE($3, latest_number)
               AND delete_time IS NULL AND hold_time IS NULL
             RETURNING uid, latest_number, current_number, previous_number, delivery,
                       dag_deploy_mode, settings, change, update_time",
            args![
                new.deployment.workspace().id(),
                new.deployment.id(),
                new.expected_latest.map(DeployNumber::get),
                new.time,
            ],
        )
        .await?)
}

/// Why the next number could not be taken, of a history that is locked.
async fn not_advanced(tx: &mut Connection, name: &DeploymentName) -> Result<Error, Error> {
    let Some(found) = deployment(tx, name).await? else {
        return Ok(Error::DeploymentMissing);
    };
    if found.delete_time.is_some() {
        return Ok(Error::DeploymentDeleted);
    }
    Ok(match found.hold {
        Some(hold) => Error::Held(Box::new(hold)),
        None => Error::LatestDeployChanged {
            latest: found.history.latest,
        },
    })
}

/// Why the latest deploy is not the expected one.
pub(super) async fn overtaken(
    tx: &mut Connection,
    deployment: &DeploymentName,
) -> Result<Error, Error> {
    Ok(match head(tx, deployment).await? {
        Some(head) => Error::LatestDeployChanged {
            latest: head.history.latest,
        },
        None => Error::DeploymentMissing,
    })
}

/// Writes the deploy whose number was taken.
async fn ship(tx: &mut Connection, row: AdvancedRow, new: &NewDeploy) -> Result<Entry, Error> {
    let AdvancedRow {
        uid,
        latest_number,
        current_number,
        previous_number,
        delivery,
        dag_deploy_mode,
        settings,
        change,
        update_time,
    } = row;
    let NewDeploy {
        deployment,
        shipment,
        image_verification,
        description,
        git,
        expected_latest: _,
        created_by,
        time: _,
    } = new;
    let uid = DeploymentUid::new(uid);
    let mode = dag_deploy_mode.parse().map_err(Error::corrupt)?;
    let state = read_delivery(&delivery)?.first_state();
    let time = time(update_time)?;
    let counted = Counted { uid, change, time };
    let history = History {
        latest: number(latest_number)?,
        current: number(current_number)?,
        previous: number(previous_number)?,
    };
    let before = number(latest_number - 1)?;
    let deployed = state == DeployState::Deployed;
    let ran = if deployed {
        history.previous
    } else {
        history.current
    };

    let base = base(tx, uid, before, ran).await?;
    let stored = bundles(tx, uid, shipment.bundles()).await?;
    let revision = shipment
        .onto(base.as_ref(), mode, &stored)
        .map_err(Error::Refused)?;
    let deploy = Deploy {
        name: DeployName::new(deployment.clone(), history.latest),
        deploy_type: shipment.deploy_type(mode),
        trigger: shipment.trigger,
        description: description.clone(),
        revision_digest: revision.digest(),
        image_verification: image_verification.clone(),
        artifacts_gone: false,
        changed: changed_components(base.as_ref(), &revision),
        revision,
        git: git.clone(),
        rollback: None,
        settings: documents::read_map(&settings)?,
        state,
        state_reason: String::new(),
        created_by: created_by.clone(),
        create_time: time,
        deploy_time: deployed.then_some(time),
        ceased_time: None,
        update_time: time,
        change,
        pin: None,
        mark: None,
    };
    if deployed {
        cease(tx, uid, ran, time).await?;
    }
    insert(tx, uid, &deploy, None).await?;
    let shipped = Some((history.latest, state));
    log(tx, counted, ChangeKind::DeployCreated, shipped).await?;
    if !deployed {
        supersede(tx, uid, before, &deploy.name, time).await?;
    }
    Ok(Entry { deploy, history })
}

/// The revision that a deploy inherits from: the latest one's, unless that came to nothing; then the
/// current one's.
async fn base(
    tx: &mut Connection,
    uid: DeploymentUid,
    latest: DeployNumber,
    current: DeployNumber,
) -> Result<Option<Revision>, Error> {
    for number in [latest, current] {
        let found = tx
            .fetch_optional::<(String, String)>(
                "SELECT state, revision FROM deploys WHERE deployment_uid = $1 AND number = $2",
                args![uid.get(), number.get()],
            )
            .await?;
        let Some((state, revision)) = found else {
            continue;
        };
        match state.parse().map_err(Error::corrupt)? {
            DeployState::Failed | DeployState::Superseded => {}
            DeployState::Pending | DeployState::RollingOut | DeployState::Deployed => {
                return documents::read_revision(&revision).map(Some);
            }
        }
    }
    Ok(None)
}

/// Notes when the deploy ceased to be the current one.
pub(super) async fn cease(
    tx: &mut Connection,
    uid: DeploymentUid,
    number: DeployNumber,
    time: DateTime<Utc>,
) -> Result<(), Error> {
    if !number.is_none() {
        tx.execute(
            "UPDATE deploys SET ceased_time = $3 WHERE deployment_uid = $1 AND number = $2",
            args![uid.get(), number.get(), time],
        )
        .await?;
    }
    Ok(())
}

/// Inserts a deploy, with the permit of a rollback as evidence. Fails if the permit was used before.
pub(super) async fn insert(
    tx: &mut Connection,
    uid: DeploymentUid,
    deploy: &Deploy,
    permit: Option<&str>,
) -> Result<(), Error> {
    let Deploy {
        name,
        deploy_type,
        trigger,
        description,
        revision,
        revision_digest,
        image_verification,
        artifacts_gone: _,
        changed,
        git,
        rollback,
        settings,
        state,
        state_reason,
        created_by,
        create_time,
        deploy_time,
        ceased_time,
        update_time,
        change,
        // A deploy is written without them.
        pin: _,
        mark: _,
    } = deploy;
    let changed = changed
        .iter()
        .map(|component| component.as_str())
        .collect::<Vec<_>>();
    let rollback = rollback.as_ref();
    let verification = image_verification.as_ref().map(ImageVerification::stored);
    let (verification, reason) = verification.unzip();
    let reason = reason.flatten();
    let inserted = tx
        .execute(
            "INSERT INTO deploys
                 (deployment_uid, number, deploy_type, deploy_trigger, description, revision,
                  revision_digest, changed_components, git, settings, state, state_reason,
                  created_by, create_time, deploy_time, ceased_time, update_time, change,
                  source_number, replaced_number, rollback_scope, rollback_id, permit_id, permit,
                  image_verification, image_verification_reason)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                     $18, $19, $20, $21, $22, $23, $24, $25, $26)
             ON CONFLICT (permit_id) DO NOTHING",
            args![
                uid.get(),
                name.number().get(),
                deploy_type.as_str(),
                trigger.as_str(),
                description,
                documents::write_revision(revision)?,
                revision_digest.to_string(),
                changed.join(","),
                git.as_ref().map(documents::write_git).transpose()?,
                documents::write_map(settings)?,
                state.as_str(),
                state_reason,
                created_by.to_string(),
                *create_time,
                *deploy_time,
                *ceased_time,
                *update_time,
                *change,
                rollback.map(|rollback| rollback.source.get()),
                rollback.map(|rollback| rollback.replaced.get()),
                rollback.map(|rollback| rollback.scope.as_str()),
                rollback.map(|rollback| rollback.rollback.get()),
                rollback.map(|rollback| rollback.permit.get()),
                permit,
                verification,
                reason.cloned(),
            ],
        )
        .await?;
    if inserted == 0 {
        return Err(Error::PermitUsed);
    }
    for sha256 in revision.bundles().into_keys() {
        tx.execute(
            "INSERT INTO deploy_bundles (deployment_uid, number, sha256) VALUES ($1, $2, $3)",
            args![uid.get(), name.number().get(), sha256.to_string()],
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn replay(
    tx: &mut Connection,
    deployment: &DeploymentName,
    request: Option<&Request>,
) -> Result<Option<Entry>, Error> {
    let Some(number) = requests::replay::<Error>(tx, request).await? else {
        return Ok(None);
    };
    let number = number.parse().map_err(Error::corrupt)?;
    let entry = entry(tx, &DeployName::new(deployment.clone(), number)).await?;
    entry
        .ok_or_else(|| Error::corrupt("a request created no deploy"))
        .map(Some)
}

/// One deploy, and where the history stands.
pub(super) async fn entry(
    connection: &mut Connection,
    name: &DeployName,
) -> Result<Option<Entry>, Error> {
    let Some(head) = head(connection, name.deployment()).await? else {
        return Ok(None);
    };
    let deploy = deploy(connection, head.uid, name).await?;
    Ok(deploy.map(|deploy| Entry {
        deploy,
        history: head.history,
    }))
}

pub(super) async fn deploy(
    connection: &mut Connection,
    uid: DeploymentUid,
    name: &DeployName,
) -> Result<Option<Deploy>, Error> {
    connection
        .fetch_optional::<DeployRow>(
            select_deploys!("settings", "deployment_uid = $1 AND number = $2"),
            args![uid.get(), name.number().get()],
        )
        .await?
        .map(|row| row.into_deploy(name.deployment()))
        .transpose()
}
