//! What of the bundles is needed, and who sweeps.

use std::collections::BTreeSet;

use chassis::database::{Connection, time};
use chassis::{args, transaction};
use chrono::{DateTime, TimeDelta, Utc};
use model::{DagBundleName, DeploymentName, Sha256Digest, WorkspaceName};
use uuid::Uuid;

use super::{Attempt, Error, Store, rows};
use crate::domain::{BundleObject, DeploymentUid, Fate, Retention, UNUSED_FOR, fate};

/// How long a replica that is not heard of is taken to sweep still.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How many Deployments, or bundles of one, are looked at in one transaction.
const AT_ONCE: usize = 200;

/// What a sweep goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SweepRules {
    pub(crate) retention: Retention,
    pub(crate) now: DateTime<Utc>,
}

/// A Deployment whose bundles are swept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SweptDeployment {
    pub(crate) uid: DeploymentUid,
    pub(crate) name: DeploymentName,
}

/// A bundle that a sweep took, and the object that has its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemovedBundle {
    pub(crate) name: DagBundleName,
    pub(crate) object: BundleObject,
    pub(crate) bytes: i64,
}

/// What became of some bundles.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SweptBundles {
    pub(crate) removed: Vec<RemovedBundle>,
    pub(crate) marked: Vec<DagBundleName>,
    /// The last one that was looked at, if there may be more.
    pub(crate) last: Option<Sha256Digest>,
}

#[derive(sqlx::FromRow)]
struct DeploymentRow {
    uid: Uuid,
    workspace: String,
    deployment_id: String,
}

#[derive(sqlx::FromRow)]
struct CandidateRow {
    sha256: String,
    object: String,
    size_bytes: i64,
    use_time: i64,
    mark_time: Option<i64>,
    needed: bool,
}

impl Store {
    /// Makes `holder` the one who sweeps, unless somebody else does, or the last sweep ended less
    /// than `rest` ago. By the database's clock.
    pub(crate) async fn begin_sweep(&self, holder: Uuid, rest: TimeDelta) -> Result<bool, Error> {
        transaction!(self.database, |tx| {
            let now = tx.database_time().await?;
            let taken = tx
                .execute(
                    "INSERT INTO sweep (one, holder, expire_time, end_time)
                     VALUES (1, $1, $2, 0)
                     ON CONFLICT (one) DO UPDATE SET holder = $1, expire_time = $2
                     WHERE sweep.expire_time <= $3 AND sweep.end_time <= $4",
                    args![holder, now + LEASE, now, now - rest],
                )
                .await?;
            Ok(taken == 1)
        })
    }

    /// Says that `holder` is still at it. False if somebody else took over.
    pub(crate) async fn go_on_sweeping(&self, holder: Uuid) -> Result<bool, Error> {
        transaction!(self.database, |tx| {
            let now = tx.database_time().await?;
            let renewed = tx
                .execute(
                    "UPDATE sweep SET expire_time = $2 WHERE holder = $1",
                    args![holder, now + LEASE],
                )
                .await?;
            Ok(renewed == 1)
        })
    }

    /// Lets others sweep.
    pub(crate) async fn end_sweep(&self, holder: Uuid) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            let now = tx.database_time().await?;
            tx.execute(
                "UPDATE sweep SET expire_time = $2, end_time = $2 WHERE holder = $1",
                args![holder, now],
            )
            .await?;
            Ok(())
        })
    }

    /// The next Deployments, in the order of their uids, from the one after `after`.
    pub(crate) async fn deployments_to_sweep(
        &self,
        after: Option<DeploymentUid>,
    ) -> Result<Vec<SweptDeployment>, Error> {
        let after = after.map_or(Uuid::nil(), DeploymentUid::get);
        let found = self
            .database
            .read()
            .await?
            .fetch_all::<DeploymentRow>(
                "SELECT uid, workspace, deployment_id FROM deployments WHERE uid > $1
                 ORDER BY uid LIMIT $2",
                args![after, rows(AT_ONCE)],
            )
            .await?;
        let deployment = |row: DeploymentRow| {
            let DeploymentRow {
                uid,
                workspace,
                deployment_id,
            } = row;
            let workspace = WorkspaceName::new(&workspace).map_err(Error::corrupt)?;
            let name = DeploymentName::new(&workspace, &deployment_id);
            Ok(SweptDeployment {
                uid: DeploymentUid::new(uid),
                name: name.map_err(Error::corrupt)?,
            })
        };
        found.into_iter().map(deployment).collect()
    }

    /// Marks those of the next bundles of a Deployment that nothing needs, and removes those that
    /// were marked long enough ago, all but their bytes. With `validate_only` it only tells.
    pub(crate) async fn sweep_bundles(
        &self,
        deployment: &SweptDeployment,
        after: Option<Sha256Digest>,
        rules: SweepRules,
        validate_only: bool,
    ) -> Result<SweptBundles, Error> {
        Attempt::settle(transaction!(self.database, |tx| {
            let swept = sweep(tx, deployment, after, rules).await?;
            Attempt::end(swept, validate_only)
        }))
    }

    /// All objects that bundles of a Deployment are in.
    pub(crate) async fn all_bundle_objects(
        &self,
        uid: DeploymentUid,
    ) -> Result<BTreeSet<BundleObject>, Error> {
        let mut connection = self.database.read().await?;
        let mut objects = BTreeSet::new();
        let mut after = String::new();
        loop {
            let found = connection
                .fetch_all::<(String, String)>(
                    "SELECT sha256, object FROM dag_bundles
                     WHERE deployment_uid = $1 AND sha256 > $2
                     ORDER BY sha256 LIMIT $3",
                    args![uid.get(), &after, rows(AT_ONCE)],
                )
                .await?;
            let more = found.len() == AT_ONCE;
            for (sha256, object) in found {
                after = sha256;
                objects.insert(BundleObject::stored(object));
            }
            if !more {
                return Ok(objects);
            }
        }
    }
}

async fn sweep(
    tx: &mut Connection,
    deployment: &SweptDeployment,
    after: Option<Sha256Digest>,
    rules: SweepRules,
) -> Result<SweptBundles, Error> {
    let SweptDeployment { uid, name } = deployment;
    // The lock of whoever writes a deploy: what is found to be needed by none stays so until the end
    // of the transaction.
    tx.execute(
        "UPDATE deployments SET bundle_bytes = bundle_bytes WHERE uid = $1",
        args![uid.get()],
    )
    .await?;
    let mut swept = SweptBundles::default();
    let candidates = candidates(tx, *uid, after, rules).await?;
    let more = candidates.len() == AT_ONCE;
    for row in candidates {
        let sha256 = row.sha256.parse().map_err(Error::corrupt)?;
        swept.last = Some(sha256);
        let name = DagBundleName::new(name.clone(), sha256);
        let marked = row.mark_time.map(time).transpose()?;
        match fate(row.needed, marked, rules.now) {
            Fate::Stay => {}
            Fate::Unmark => {
                mark(tx, *uid, &row, None).await?;
            }
            Fate::Mark => {
                if mark(tx, *uid, &row, Some(rules.now)).await? {
                    swept.marked.push(name);
                }
            }
            Fate::Remove => {
                if remove(tx, *uid, &row).await? {
                    swept.removed.push(RemovedBundle {
                        name,
                        object: BundleObject::stored(row.object),
                        bytes: row.size_bytes,
                    });
                }
            }
        }
    }
    if !more {
        swept.last = None;
    }
    Ok(swept)
}

/// The next bundles of a Deployment. One is needed for a while after it was brought, and by each
/// deploy that can be a target of a rollback (see [`Retention::expire_time`]) or be inherited from.
async fn candidates(
    tx: &mut Connection,
    uid: DeploymentUid,
    after: Option<Sha256Digest>,
    rules: SweepRules,
) -> Result<Vec<CandidateRow>, Error> {
    let SweepRules { retention, now } = rules;
    Ok(tx
        .fetch_all(
            "SELECT b.sha256, b.object, b.size_bytes, b.use_time, b.mark_time,
                    b.use_time > $3 OR EXISTS (
                        SELECT 1
                        FROM deploy_bundles r
                        JOIN deploys d ON d.deployment_uid = r.deployment_uid
                                      AND d.number = r.number
                        JOIN deployments p ON p.uid = r.deployment_uid
                        WHERE r.deployment_uid = b.deployment_uid AND r.sha256 = b.sha256
                          AND (d.number IN (p.latest_number, p.current_number, p.previous_number)
                               OR d.pin_time IS NOT NULL
                               OR COALESCE(d.ceased_time, d.create_time) > $4)
                    ) AS needed
             FROM dag_bundles b
             WHERE b.deployment_uid = $1 AND b.sha256 > $2
             ORDER BY b.sha256
             LIMIT $5",
            args![
                uid.get(),
                after.map(|sha256| sha256.to_string()).unwrap_or_default(),
                now - UNUSED_FOR,
                retention.reaches_back_to(now),
                rows(AT_ONCE),
            ],
        )
        .await?)
}

/// Marks a bundle or takes the mark away, unless somebody asked for it in between.
async fn mark(
    tx: &mut Connection,
    uid: DeploymentUid,
    row: &CandidateRow,
    time: Option<DateTime<Utc>>,
) -> Result<bool, Error> {
    let marked = tx
        .execute(
            "UPDATE dag_bundles SET mark_time = $4
             WHERE deployment_uid = $1 AND sha256 = $2 AND use_time = $3",
            args![uid.get(), &row.sha256, row.use_time, time],
        )
        .await?;
    Ok(marked == 1)
}

/// Removes a bundle, unless somebody asked for it in between.
async fn remove(
    tx: &mut Connection,
    uid: DeploymentUid,
    row: &CandidateRow,
) -> Result<bool, Error> {
    let removed = tx
        .execute(
            "DELETE FROM dag_bundles
             WHERE deployment_uid = $1 AND sha256 = $2 AND use_time = $3
               AND mark_time IS NOT NULL",
            args![uid.get(), &row.sha256, row.use_time],
        )
        .await?;
    if removed == 1 {
        tx.execute(
            "UPDATE deployments SET bundle_bytes = bundle_bytes - $2 WHERE uid = $1",
            args![uid.get(), row.size_bytes],
        )
        .await?;
    }
    Ok(removed == 1)
}
