use std::collections::BTreeSet;
use std::fmt;

use chassis::database::Connection;
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::{
    DeployName, DeployNumber, DeploymentName, ImageDigest, PermissionSet, RollbackId, RollbackName,
    Scope, ScopeBlocker, Sha256Digest, WorkspaceName,
};
use uuid::Uuid;

use super::bundles::bundles;
use super::changes::{Counted, log};
use super::deployments::{deployment, number};
use super::deploys::{Entry, cease, deploy, entry, insert, overtaken};
use super::holds::place;
use super::states::supersede;
use super::{Error, Store};
use crate::domain::{
    ChangeKind, ComposedRollback, Deploy, Deployment, DeploymentUid, Facts, History, PermitId,
    Retention, RollbackAuthor, blockers, compose,
};

/// What became of a rollback id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RollbackOutcome {
    Written(Box<Entry>),
    /// There is no deploy, and there never will be.
    Closed,
}

/// What a rollback is composed from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RollbackFacts {
    pub(crate) deployment: Deployment,
    pub(crate) target: Deploy,
    /// None where nothing runs.
    pub(crate) current: Option<Deploy>,
}

impl RollbackFacts {
    /// The deploy that the rollback would write, or why its scope is closed. None where nothing runs.
    pub(crate) fn compose(
        &self,
        scope: Scope,
        hold: bool,
    ) -> Option<Result<ComposedRollback, ScopeBlocker>> {
        let current = self.current.as_ref()?;
        let Self {
            deployment,
            target,
            current: _,
        } = self;
        Some(compose(deployment, target, current, scope, hold))
    }
}

/// What a permit allows, beyond what can be compared with the request.
#[derive(Clone)]
pub(crate) struct PermitBounds {
    pub(crate) deployment_uid: DeploymentUid,
    pub(crate) revision_digest: String,
    pub(crate) permissions: PermissionSet,
    /// The permit itself, kept as evidence.
    pub(crate) jws: String,
}

/// The permit itself is shown to nobody: until it is taken, whoever has it could bring it.
impl fmt::Debug for PermitBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            deployment_uid,
            revision_digest,
            permissions,
            jws: _,
        } = self;
        f.debug_struct("PermitBounds")
            .field("deployment_uid", deployment_uid)
            .field("revision_digest", revision_digest)
            .field("permissions", permissions)
            .finish_non_exhaustive()
    }
}

/// A rollback whose deploy is to be written.
#[derive(Debug, Clone)]
pub(crate) struct WriteRollback {
    pub(crate) deployment: DeploymentName,
    pub(crate) target: DeployNumber,
    pub(crate) scope: Scope,
    pub(crate) expected_latest: DeployNumber,
    pub(crate) author: RollbackAuthor,
    pub(crate) permit: PermitBounds,
    /// The bundles of the composed revision whose bytes are gone from the bundle store.
    pub(crate) gone: BTreeSet<Sha256Digest>,
    /// The image of the composed revision, if its registry does not have it.
    pub(crate) gone_image: Option<ImageDigest>,
    pub(crate) installation_enabled: bool,
    pub(crate) allow_marked_bad: bool,
    /// Whether later deploys are kept away.
    pub(crate) hold: bool,
    pub(crate) retention: Retention,
    pub(crate) time: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct RollbackRow {
    workspace: String,
    deployment_id: String,
    number: Option<i64>,
}

impl Store {
    /// What became of a rollback id; none if nothing is known of it.
    pub(crate) async fn rollback_outcome(
        &self,
        rollback: &RollbackName,
    ) -> Result<Option<RollbackOutcome>, Error> {
        outcome(&mut self.database.read().await?, rollback).await
    }

    /// What a rollback to `target` would be composed from. Deploys do not change: read after the
    /// Deployment, they are as they were then.
    pub(crate) async fn rollback_facts(&self, target: &DeployName) -> Result<RollbackFacts, Error> {
        facts(&mut self.database.read().await?, target).await
    }

    /// The rollback that a permit was used for.
    pub(crate) async fn rollback_of_permit(
        &self,
        permit: PermitId,
    ) -> Result<Option<RollbackId>, Error> {
        let row = self
            .database
            .read()
            .await?
            .fetch_optional::<(Uuid,)>(
                "SELECT rollback_id FROM deploys WHERE permit_id = $1",
                args![permit.get()],
            )
            .await?;
        Ok(row.map(|(id,)| RollbackId::new(id)))
    }

    /// Writes the deploy of a rollback, if everything still holds.
    pub(crate) async fn create_rollback_deploy(
        &self,
        write: &WriteRollback,
    ) -> Result<Entry, Error> {
        transaction!(self.database, |tx| {
            let rollback = RollbackName::new(write.deployment.clone(), write.author.rollback);
            let number = History::after(write.expected_latest);
            if !take(tx, &rollback, Some(number), write.time).await? {
                return match outcome(tx, &rollback).await? {
                    Some(RollbackOutcome::Written(entry)) => Ok(*entry),
                    Some(RollbackOutcome::Closed) => Err(Error::RollbackClosed),
                    None => Err(Error::DeploymentMissing),
                };
            }
            if !lock(tx, write).await? {
                return Err(overtaken(tx, &write.deployment).await?);
            }
            let target = DeployName::new(write.deployment.clone(), write.target);
            let facts = facts(tx, &target).await?;
            let composed = judge(tx, write, &facts).await?;
            let (time, change) = (facts.deployment.update_time, facts.deployment.change);
            let deploy = composed.into_deploy(write.author.clone(), time, change);
            let entry = advance(tx, &facts.deployment, &deploy, &write.permit.jws).await?;
            if write.hold {
                let reason = write.author.hold_reason(&write.deployment);
                let by = &write.author.person;
                place(tx, facts.deployment.uid, &reason, by, time).await?;
            }
            Ok(entry)
        })
    }

    /// Closes a rollback id for ever, unless it has a deploy, which is returned then.
    pub(crate) async fn close_rollback(
        &self,
        rollback: &RollbackName,
        time: DateTime<Utc>,
    ) -> Result<Option<Entry>, Error> {
        transaction!(self.database, |tx| {
            if take(tx, rollback, None, time).await? {
                return Ok(None);
            }
            match outcome(tx, rollback).await? {
                Some(RollbackOutcome::Written(entry)) => Ok(Some(*entry)),
                Some(RollbackOutcome::Closed) => Ok(None),
                None => Err(Error::DeploymentMissing),
            }
        })
    }
}

/// Settles what becomes of a rollback id: its deploy gets this number, or, without one, there never
/// is a deploy. False if it is settled already, or the Deployment does not exist.
///
/// Of two at a time, the database lets the second wait until the first is done.
async fn take(
    tx: &mut Connection,
    rollback: &RollbackName,
    number: Option<DeployNumber>,
    time: DateTime<Utc>,
) -> Result<bool, Error> {
    let deployment = rollback.deployment();
    let inserted = tx
        .execute(
            "INSERT INTO rollback_writes (rollback_id, deployment_uid, number, create_time)
             SELECT $1, uid, $2, $3 FROM deployments WHERE workspace = $4 AND deployment_id = $5
             ON CONFLICT (rollback_id) DO NOTHING",
            args![
                rollback.id().get(),
                number.map(DeployNumber::get),
                time,
                deployment.workspace().id(),
                deployment.id(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

async fn outcome(
    connection: &mut Connection,
    rollback: &RollbackName,
) -> Result<Option<RollbackOutcome>, Error> {
    let row = connection
        .fetch_optional::<RollbackRow>(
            "SELECT d.workspace, d.deployment_id, w.number
             FROM rollback_writes w
             JOIN deployments d ON d.uid = w.deployment_uid
             WHERE w.rollback_id = $1",
            args![rollback.id().get()],
        )
        .await?;
    let Some(RollbackRow {
        workspace,
        deployment_id,
        number: found,
    }) = row
    else {
        return Ok(None);
    };
    let workspace = WorkspaceName::new(&workspace).map_err(Error::corrupt)?;
    let deployment = DeploymentName::new(&workspace, &deployment_id).map_err(Error::corrupt)?;
    if deployment != *rollback.deployment() {
        return Err(Error::RollbackElsewhere);
    }
    let Some(found) = found else {
        return Ok(Some(RollbackOutcome::Closed));
    };
    let entry = entry(connection, &DeployName::new(deployment, number(found)?)).await?;
    let entry = entry.ok_or_else(|| Error::corrupt("a rollback without its deploy"))?;
    Ok(Some(RollbackOutcome::Written(Box::new(entry))))
}

async fn facts(connection: &mut Connection, target: &DeployName) -> Result<RollbackFacts, Error> {
    let found = deployment(connection, target.deployment()).await?;
    let deployment = found.ok_or(Error::DeploymentMissing)?;
    let found = deploy(connection, deployment.uid, target).await?;
    let target = found.ok_or(Error::DeployMissing)?;
    let current = deployment.history.current;
    let current = if current.is_none() {
        None
    } else {
        let name = deployment.deploy(current);
        let found = deploy(connection, deployment.uid, &name).await?;
        Some(found.ok_or_else(|| Error::corrupt("the current deploy is missing"))?)
    };
    Ok(RollbackFacts {
        deployment,
        target,
        current,
    })
}

async fn missing(
    connection: &mut Connection,
    uid: DeploymentUid,
    digests: &BTreeSet<Sha256Digest>,
) -> Result<BTreeSet<Sha256Digest>, Error> {
    let found = bundles(connection, uid, digests.iter().copied()).await?;
    Ok(digests
        .iter()
        .filter(|digest| !found.contains_key(digest))
        .copied()
        .collect())
}

/// Locks the history, if the latest deploy is the expected one, and counts the change.
async fn lock(tx: &mut Connection, write: &WriteRollback) -> Result<bool, Error> {
    let locked = tx
        .execute(
            "UPDATE deployments
             SET change = change + 1,
                 update_time = CASE WHEN update_time > $4 THEN update_time ELSE $4 END
             WHERE workspace = $1 AND deployment_id = $2 AND latest_number = $3",
            args![
                write.deployment.workspace().id(),
                write.deployment.id(),
                write.expected_latest.get(),
                write.time,
            ],
        )
        .await?;
    Ok(locked == 1)
}

/// Composes the deploy, and holds it against every rule and against the permit. The permissions are
/// derived here: what a permit was issued for is one thing, what this write needs another.
async fn judge(
    tx: &mut Connection,
    write: &WriteRollback,
    facts: &RollbackFacts,
) -> Result<ComposedRollback, Error> {
    let RollbackFacts {
        deployment,
        target,
        current: _,
    } = facts;
    let PermitBounds {
        deployment_uid,
        revision_digest,
        permissions,
        jws: _,
    } = &write.permit;
    if *deployment_uid != deployment.uid {
        return Err(Error::PermitMismatch("deployment_uid"));
    }
    let composed = facts.compose(write.scope, write.hold);
    let mut gone = BTreeSet::new();
    if let Some(Ok(composed)) = &composed {
        let needed = composed
            .revision
            .bundles()
            .into_keys()
            .collect::<BTreeSet<_>>();
        gone = missing(tx, deployment.uid, &needed).await?;
        gone.extend(needed.intersection(&write.gone));
    }
    let blockers = blockers(Facts {
        installation_enabled: write.installation_enabled,
        allow_marked_bad: write.allow_marked_bad,
        retention: write.retention,
        now: write.time,
        deployment,
        target,
        composed: composed.as_ref(),
        missing: &gone.into_iter().collect::<Vec<_>>(),
        missing_image: write.gone_image,
    });
    let composed = match composed {
        Some(Ok(composed)) if blockers.is_empty() => composed,
        Some(_) | None => return Err(Error::Blocked(blockers)),
    };
    if composed.revision.digest().to_string() != *revision_digest {
        return Err(Error::PermitMismatch("revision_digest"));
    }
    if !composed.needed.is_subset(*permissions) {
        return Err(Error::PermitMismatch("permissions"));
    }
    Ok(composed)
}

/// Writes the deploy, with its mode as the Deployment's. Unless somebody ships it first, it is the
/// current one at once.
async fn advance(
    tx: &mut Connection,
    deployment: &Deployment,
    deploy: &Deploy,
    permit: &str,
) -> Result<Entry, Error> {
    let uid = deployment.uid;
    let before = deployment.history;
    let history = before.advanced(deploy.state);
    tx.execute(
        "UPDATE deployments
         SET latest_number = $2, current_number = $3, previous_number = $4, dag_deploy_mode = $5
         WHERE uid = $1",
        args![
            uid.get(),
            history.latest.get(),
            history.current.get(),
            history.previous.get(),
            deploy.revision.mode.as_str(),
        ],
    )
    .await?;
    let time = deploy.create_time;
    if history.current != before.current {
        cease(tx, uid, before.current, time).await?;
    }
    insert(tx, uid, deploy, Some(permit)).await?;
    let counted = Counted {
        uid,
        change: deploy.change,
        time,
    };
    let written = Some((history.latest, deploy.state));
    log(tx, counted, ChangeKind::DeployCreated, written).await?;
    supersede(tx, uid, before.latest, &deploy.name, time).await?;
    Ok(Entry {
        deploy: deploy.clone(),
        history,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_permit_allows_does_not_show_the_permit() {
        let bounds = PermitBounds {
            deployment_uid: DeploymentUid::new(Uuid::from_u128(1)),
            revision_digest: "ab".repeat(32),
            permissions: PermissionSet::EMPTY,
            jws: "e30.e30.signature".to_owned(),
        };
        let text = format!("{bounds:?}");
        assert!(text.contains(&bounds.revision_digest), "{text}");
        assert!(!text.contains("signature"), "{text}");
    }
}
