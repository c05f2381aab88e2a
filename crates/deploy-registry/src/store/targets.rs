//! Which deploys a rollback can go back to.

use std::collections::BTreeSet;

use chassis::args;
use chassis::database::Connection;
use chrono::{DateTime, Utc};
use model::{DeployName, DeployNumber, DeploymentName, Scope, Sha256Digest};

use super::deploy_row::{DeployRow, select_deploys};
use super::deployments::{Head, deployment, head, number};
use super::deploys::{Entry, deploy};
use super::{Error, Listing, STEP, Store, rows};
use crate::domain::{Deploy, Deployment, DeploymentUid, History, Look, MOST_SEARCHED, Search};

/// What a search for the last known good deploy came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Previous {
    Found(Box<Entry>),
    /// The whole history has none.
    Nothing,
    /// There is none among those that were looked at.
    TooFar,
}

/// Some deploys of a history, and all that rollbacks to them depend on: of one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RollbackPreviews {
    pub(crate) deployment: Deployment,
    /// None where nothing runs.
    pub(crate) current: Option<Deploy>,
    /// Without their settings, newest first.
    pub(crate) targets: Listing<Deploy>,
    /// The bundles of all these deploys that the Deployment does not have any more.
    pub(crate) missing: BTreeSet<Sha256Digest>,
}

impl Store {
    /// The deploy that ran at a time: of those that ever ran, the one that did so last, and not after it.
    pub(crate) async fn deploy_as_of(
        &self,
        name: &DeploymentName,
        time: DateTime<Utc>,
    ) -> Result<Option<Entry>, Error> {
        let mut connection = self.database.snapshot().await?;
        let found = head(&mut connection, name).await?;
        let Head { uid, history } = found.ok_or(Error::DeploymentMissing)?;
        let found = connection
            .fetch_optional::<(i64,)>(
                "SELECT number FROM deploys
                 WHERE deployment_uid = $1 AND deploy_time <= $2
                 ORDER BY deploy_time DESC, number DESC
                 LIMIT 1",
                args![uid.get(), time],
            )
            .await?;
        match found {
            Some((found,)) => {
                let found = number(found)?;
                whole(&mut connection, name, uid, history, found)
                    .await
                    .map(Some)
            }
            None => Ok(None),
        }
    }

    /// The last deploy that is known to have worked, by what differs within a scope from what runs now.
    pub(crate) async fn previous_deploy(
        &self,
        name: &DeploymentName,
        scope: Scope,
    ) -> Result<Previous, Error> {
        let mut connection = self.database.snapshot().await?;
        let found = deployment(&mut connection, name).await?;
        let deployment = found.ok_or(Error::DeploymentMissing)?;
        let (uid, history) = (deployment.uid, deployment.history);
        let Some(now) = deployment.current_revision else {
            return Ok(Previous::Nothing);
        };
        let mut search = Search::new(scope, now);
        let mut before = History::after(history.current);
        let mut looked_at = 0;
        // After a leap the next leap may follow at once: one deploy is read, then more and more.
        let mut step = 1;
        loop {
            let deploys = deploys_before(&mut connection, name, uid, before, step).await?;
            if deploys.is_empty() {
                return Ok(Previous::Nothing);
            }
            step = STEP.min(step * 10);
            for deploy in deploys {
                if looked_at == MOST_SEARCHED {
                    return Ok(Previous::TooFar);
                }
                looked_at += 1;
                before = deploy.name.number();
                match search.look(&deploy) {
                    Look::Found => {
                        let entry = whole(&mut connection, name, uid, history, before).await?;
                        return Ok(Previous::Found(Box::new(entry)));
                    }
                    Look::Below => {}
                    Look::At(next) => {
                        before = History::after(next);
                        step = 1;
                        break;
                    }
                }
            }
        }
    }

    /// At most `limit` deploys of a Deployment, newest first, from the one before `before`, and all that
    /// rollbacks to them depend on.
    pub(crate) async fn rollback_previews(
        &self,
        name: &DeploymentName,
        before: Option<DeployNumber>,
        limit: usize,
    ) -> Result<RollbackPreviews, Error> {
        let mut connection = self.database.snapshot().await?;
        let found = deployment(&mut connection, name).await?;
        let deployment = found.ok_or(Error::DeploymentMissing)?;
        let (uid, history) = (deployment.uid, deployment.history);
        let current = match history.current {
            DeployNumber::NONE => None,
            current => Some(read(&mut connection, name, uid, current).await?),
        };
        let before = before.unwrap_or(history.next()).min(history.next());
        let mut items = deploys_before(&mut connection, name, uid, before, limit + 1).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let missing = missing(&mut connection, uid, &items, history.current).await?;
        Ok(RollbackPreviews {
            deployment,
            current,
            targets: Listing { items, more },
            missing,
        })
    }
}

/// The next deploys below a number, newest first, without their settings.
async fn deploys_before(
    connection: &mut Connection,
    name: &DeploymentName,
    uid: DeploymentUid,
    before: DeployNumber,
    most: usize,
) -> Result<Vec<Deploy>, Error> {
    let found = connection
        .fetch_all::<DeployRow>(
            select_deploys!(
                "'{}'",
                "deployment_uid = $1 AND number < $2 ORDER BY number DESC LIMIT $3"
            ),
            args![uid.get(), before.get(), rows(most)],
        )
        .await?;
    let deploys = found.into_iter().map(|row| row.into_deploy(name));
    deploys.collect()
}

/// Those of the bundles of some deploys in a row, and of the current one, that the Deployment does not
/// have any more. A rollback to one of them needs no other bundles.
///
/// They are counted: what NOT EXISTS asks, PostgreSQL would rather answer from a hash of all bundles of the
/// Deployment.
async fn missing(
    connection: &mut Connection,
    uid: DeploymentUid,
    deploys: &[Deploy],
    current: DeployNumber,
) -> Result<BTreeSet<Sha256Digest>, Error> {
    let (Some(newest), Some(oldest)) = (deploys.first(), deploys.last()) else {
        return Ok(BTreeSet::new());
    };
    let found = connection
        .fetch_all::<(String,)>(
            "SELECT r.sha256 FROM deploy_bundles r
             WHERE r.deployment_uid = $1 AND r.number >= $2 AND r.number <= $3
               AND (
                   SELECT COUNT(*) FROM dag_bundles b
                   WHERE b.deployment_uid = r.deployment_uid AND b.sha256 = r.sha256
               ) = 0
             UNION
             SELECT r.sha256 FROM deploy_bundles r
             WHERE r.deployment_uid = $1 AND r.number = $4
               AND (
                   SELECT COUNT(*) FROM dag_bundles b
                   WHERE b.deployment_uid = r.deployment_uid AND b.sha256 = r.sha256
               ) = 0",
            args![
                uid.get(),
                oldest.name.number().get(),
                newest.name.number().get(),
                current.get(),
            ],
        )
        .await?;
    let digests = found.into_iter().map(|(sha256,)| sha256.parse());
    digests.collect::<Result<_, _>>().map_err(Error::corrupt)
}

/// A deploy that was found, with its settings.
async fn whole(
    connection: &mut Connection,
    name: &DeploymentName,
    uid: DeploymentUid,
    history: History,
    found: DeployNumber,
) -> Result<Entry, Error> {
    Ok(Entry {
        deploy: read(connection, name, uid, found).await?,
        history,
    })
}

/// A deploy that is there.
async fn read(
    connection: &mut Connection,
    name: &DeploymentName,
    uid: DeploymentUid,
    number: DeployNumber,
) -> Result<Deploy, Error> {
    let name = DeployName::new(name.clone(), number);
    let found = deploy(connection, uid, &name).await?;
    found.ok_or_else(|| Error::corrupt(format!("{name} is missing")))
}
