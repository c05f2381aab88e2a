use chassis::database::time;
use model::{DeployName, DeploymentName, RollbackId};
use uuid::Uuid;

use super::deployments::number;
use super::{Error, documents};
use crate::domain::{
    Component, Deploy, DeployTrigger, DeployType, ImageVerification, Mark, PermitId, Pin,
    RevisionDigest, RollbackOrigin, Verdict,
};

/// Reads a [`DeployRow`] for each deploy that a condition finds. Settings can be large: who shows none
/// reads `'{}'` in their place.
///
/// The bundles that are gone are counted: what EXISTS asks for each row, PostgreSQL would rather answer from
/// a hash of the bundles of all deploys that there are.
macro_rules! select_deploys {
    ($settings:literal, $condition:literal) => {
        concat!(
            "SELECT number, deploy_type, deploy_trigger, description, revision, revision_digest,
                    changed_components, git, ",
            $settings,
            " AS settings, state, state_reason, created_by, create_time,
                    deploy_time, ceased_time, update_time, change, mark, mark_reason, mark_by,
                    mark_time, pin_by, pin_time, source_number, replaced_number, rollback_scope,
                    rollback_id, permit_id, image_verification, image_verification_reason,
                    (
                        SELECT COUNT(*) FROM deploy_bundles r
                        WHERE r.deployment_uid = deploys.deployment_uid
                          AND r.number = deploys.number
                          AND NOT EXISTS (
                              SELECT 1 FROM dag_bundles b
                              WHERE b.deployment_uid = r.deployment_uid AND b.sha256 = r.sha256
                          )
                    ) > 0 AS artifacts_gone
             FROM deploys
             WHERE ",
            $condition
        )
    };
}

pub(super) use select_deploys;

/// A deploy as it is stored, but for its Deployment and its permit.
#[derive(sqlx::FromRow)]
pub(super) struct DeployRow {
    pub(super) number: i64,
    deploy_type: String,
    deploy_trigger: String,
    description: String,
    pub(super) revision: String,
    revision_digest: String,
    image_verification: Option<String>,
    image_verification_reason: Option<String>,
    artifacts_gone: bool,
    changed_components: String,
    git: Option<String>,
    pub(super) settings: String,
    state: String,
    state_reason: String,
    created_by: String,
    create_time: i64,
    deploy_time: Option<i64>,
    ceased_time: Option<i64>,
    update_time: i64,
    change: i64,
    mark: Option<String>,
    mark_reason: Option<String>,
    mark_by: Option<String>,
    mark_time: Option<i64>,
    pin_by: Option<String>,
    pin_time: Option<i64>,
    source_number: Option<i64>,
    replaced_number: Option<i64>,
    rollback_scope: Option<String>,
    rollback_id: Option<Uuid>,
    permit_id: Option<Uuid>,
}

impl DeployRow {
    pub(super) fn into_deploy(self, deployment: &DeploymentName) -> Result<Deploy, Error> {
        let Self {
            number: deploy_number,
            deploy_type,
            deploy_trigger,
            description,
            revision,
            revision_digest,
            image_verification,
            image_verification_reason,
            artifacts_gone,
            changed_components,
            git,
            settings,
            state,
            state_reason,
            created_by,
            create_time,
            deploy_time,
            ceased_time,
            update_time,
            change,
            mark,
            mark_reason,
            mark_by,
            mark_time,
            pin_by,
            pin_time,
            source_number,
            replaced_number,
            rollback_scope,
            rollback_id,
            permit_id,
        } = self;
        let rollback = match (
            source_number,
            replaced_number,
            rollback_scope,
            rollback_id,
            permit_id,
        ) {
            (None, None, None, None, None) => None,
            (Some(source), Some(replaced), Some(scope), Some(rollback), Some(permit)) => {
                Some(RollbackOrigin {
                    source: number(source)?,
                    replaced: number(replaced)?,
                    scope: scope.parse().map_err(Error::corrupt)?,
                    rollback: RollbackId::new(rollback),
                    permit: PermitId::new(permit),
                })
            }
            _ => return Err(Error::corrupt("half the origin of a rollback deploy")),
        };
        Ok(Deploy {
            name: DeployName::new(deployment.clone(), number(deploy_number)?),
            deploy_type: DeployType::from_text(&deploy_type)
                .ok_or_else(|| Error::corrupt(format!("deploy type {deploy_type:?}")))?,
            trigger: DeployTrigger::from_text(&deploy_trigger)
                .ok_or_else(|| Error::corrupt(format!("deploy trigger {deploy_trigger:?}")))?,
            description,
            revision: documents::read_revision(&revision)?,
            revision_digest: RevisionDigest::stored(
                revision_digest.parse().map_err(Error::corrupt)?,
            ),
            image_verification: image_verification
                .map(|text| {
                    ImageVerification::from_stored(&text, image_verification_reason)
                        .ok_or_else(|| Error::corrupt(format!("image verification {text:?}")))
                })
                .transpose()?,
            artifacts_gone,
            changed: components(&changed_components)?,
            git: git.map(|git| documents::read_git(&git)).transpose()?,
            rollback,
            settings: documents::read_map(&settings)?,
            state: state.parse().map_err(Error::corrupt)?,
            state_reason,
            created_by: created_by.parse().map_err(Error::corrupt)?,
            create_time: time(create_time)?,
            deploy_time: deploy_time.map(time).transpose()?,
            ceased_time: ceased_time.map(time).transpose()?,
            update_time: time(update_time)?,
            change,
            pin: pin(pin_by, pin_time)?,
            mark: read_mark(mark, mark_reason, mark_by, mark_time)?,
        })
    }
}

fn components(text: &str) -> Result<Vec<Component>, Error> {
    let names = text.split(',').filter(|name| !name.is_empty());
    names
        .map(|name| {
            Component::from_text(name).ok_or_else(|| Error::corrupt(format!("component {name:?}")))
        })
        .collect()
}

fn pin(by: Option<String>, pin_time: Option<i64>) -> Result<Option<Pin>, Error> {
    match (by, pin_time) {
        (None, None) => Ok(None),
        (Some(by), Some(pin_time)) => Ok(Some(Pin {
            by: by.parse().map_err(Error::corrupt)?,
            time: time(pin_time)?,
        })),
        (Some(_), None) | (None, Some(_)) => Err(Error::corrupt("half a pin")),
    }
}

fn read_mark(
    verdict: Option<String>,
    reason: Option<String>,
    by: Option<String>,
    mark_time: Option<i64>,
) -> Result<Option<Mark>, Error> {
    match (verdict, reason, by, mark_time) {
        (None, None, None, None) => Ok(None),
        (Some(verdict), Some(reason), Some(by), Some(mark_time)) => Ok(Some(Mark {
            verdict: Verdict::from_text(&verdict)
                .ok_or_else(|| Error::corrupt(format!("verdict {verdict:?}")))?,
            reason,
            by: by.parse().map_err(Error::corrupt)?,
            time: time(mark_time)?,
        })),
        _ => Err(Error::corrupt("half a mark")),
    }
}
