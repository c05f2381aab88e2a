//! CreateRollbackDeploy writes the deploy of a rollback, or shows what it would write.

use std::collections::BTreeSet;

use chassis::convert;
use chassis::fields::Fields;
use chassis::identity::{Caller, caller};
use chassis::problem::Problem;
use model::{
    DeployName, DeployNumber, DeploymentName, ImageDigest, RollbackId, RollbackName, Scope,
    Sha256Digest,
};
use proto::registry::v1 as pb;
use tonic::Request;

use super::access::Sight;
use super::errors::{self, About};
use super::permit::{self, Wanted};
use super::{Registry, access, decode, encode, image};
use crate::domain::{ComposedRollback, DeploymentUid, Facts, PermitId, RollbackAuthor, blockers};
use crate::store::{Entry, Error, RollbackOutcome, WriteRollback};

const LONGEST_DESCRIPTION: usize = 500;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::CreateRollbackDeployRequest>,
) -> Result<pb::CreateRollbackDeployResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let deployment: DeploymentName = decode::name("parent", &request.parent)?;
    let sight = access::require_rollback_writer(registry, &caller, &deployment).await?;
    if request.validate_only {
        return preview(registry, &deployment, request, sight).await;
    }
    // A rollback that is settled stays so, whatever else the request says.
    if let Ok(rollback) = request.rollback.parse::<RollbackName>()
        && *rollback.deployment() == deployment
        && let Some(entry) = settled(registry, &rollback).await?
    {
        return Ok(written(registry, entry, sight));
    }
    write(registry, &caller, &deployment, request, sight).await
}

/// The deploy of a rollback that has one. Fails if it never can have one.
async fn settled(registry: &Registry, rollback: &RollbackName) -> Result<Option<Entry>, Problem> {
    let about = About::rollback(rollback);
    let outcome = registry.store.rollback_outcome(rollback).await;
    match outcome.map_err(|error| about.problem(error))? {
        Some(RollbackOutcome::Written(entry)) => Ok(Some(*entry)),
        Some(RollbackOutcome::Closed) => Err(about.problem(Error::RollbackClosed)),
        None => Ok(None),
    }
}

async fn write(
    registry: &Registry,
    caller: &Caller,
    deployment: &DeploymentName,
    request: pb::CreateRollbackDeployRequest,
    sight: Sight,
) -> Result<pb::CreateRollbackDeployResponse, Problem> {
    let asked = decode_write(deployment, request)?;
    let Asked {
        target,
        scope,
        rollback,
        expected_latest,
        permit,
        description,
        allow_marked_bad,
        hold,
    } = asked;
    let wanted = Wanted {
        deployment,
        rollback,
        target,
        expected_latest,
        scope,
        hold,
    };
    let permit = permit::verify(registry, caller, wanted, &permit).await?;
    let about = About {
        expected_latest: Some(expected_latest),
        target: Some(target),
        rollback: Some(rollback),
        ..About::deployment(deployment)
    };

    let target_name = DeployName::new(deployment.clone(), target);
    let facts = registry.store.rollback_facts(&target_name).await;
    let facts = facts.map_err(|error| about.problem(error))?;
    let latest = facts.deployment.history.latest;
    if latest != expected_latest {
        // The deploy that came in between may be this rollback's own.
        let rollback = RollbackName::new(deployment.clone(), rollback);
        return match settled(registry, &rollback).await? {
            Some(entry) => Ok(written(registry, entry, sight)),
            None => Err(about.problem(Error::LatestDeployChanged { latest })),
        };
    }
    // The bundle store and the image registry are asked before the transaction, which waits for no
    // one outside. As long as the latest deploy is the expected one, the transaction composes the
    // same revision.
    let Gone { bundles, image } = match facts.compose(scope, hold) {
        Some(Ok(composed)) => gone(registry, facts.deployment.uid, &composed).await?,
        Some(Err(_)) | None => Gone::default(),
    };
    let author = RollbackAuthor {
        rollback,
        permit: PermitId::new(permit.claims().id),
        person: permit.claims().person.clone(),
        description,
    };
    let entry = registry
        .store
        .create_rollback_deploy(&WriteRollback {
            deployment: deployment.clone(),
            target,
            scope,
            expected_latest,
            author,
            permit: permit::bounds(&permit),
            gone: bundles,
            gone_image: image,
            installation_enabled: registry.rollbacks_enabled,
            allow_marked_bad,
            hold,
            retention: registry.retention,
            time: registry.environment.now(),
        })
        .await
        .map_err(|error| about.problem(error))?;
    tracing::info!(
        deploy = %entry.deploy.name, created_by = %entry.deploy.created_by, %rollback,
        permit_id = %permit.claims().id, hold, "rollback deploy written"
    );
    Ok(written(registry, entry, sight))
}

fn written(registry: &Registry, entry: Entry, sight: Sight) -> pb::CreateRollbackDeployResponse {
    pb::CreateRollbackDeployResponse {
        revision_digest: entry.deploy.revision_digest.to_string(),
        deploy: Some(encode::deploy(entry, registry.retention, sight)),
        blockers: Vec::new(),
    }
}

/// Composes the deploy and finds every reason against it, and writes nothing.
async fn preview(
    registry: &Registry,
    deployment: &DeploymentName,
    request: pb::CreateRollbackDeployRequest,
    sight: Sight,
) -> Result<pb::CreateRollbackDeployResponse, Problem> {
    let asked = decode_preview(deployment, request)?;
    let AskedPreview {
        target,
        scope,
        rollback,
        expected_latest,
        description,
        allow_marked_bad,
        hold,
    } = asked;
    let about = About {
        expected_latest,
        target: Some(target),
        rollback,
        ..About::deployment(deployment)
    };
    let target_name = DeployName::new(deployment.clone(), target);
    let facts = registry.store.rollback_facts(&target_name).await;
    let facts = facts.map_err(|error| about.problem(error))?;
    let latest = facts.deployment.history.latest;
    if expected_latest.is_some_and(|expected| expected != latest) {
        return Err(about.problem(Error::LatestDeployChanged { latest }));
    }

    let composed = facts.compose(scope, hold);
    let mut missing = BTreeSet::new();
    let mut missing_image = None;
    if let Some(Ok(composed)) = &composed {
        let uid = facts.deployment.uid;
        let Gone { bundles, image } = gone(registry, uid, composed).await?;
        missing = bundles;
        missing_image = image;
    }
    let now = registry.environment.now();
    let blockers = blockers(Facts {
        installation_enabled: registry.rollbacks_enabled,
        allow_marked_bad,
        retention: registry.retention,
        now,
        deployment: &facts.deployment,
        target: &facts.target,
        composed: composed.as_ref(),
        missing: &missing.into_iter().collect::<Vec<_>>(),
        missing_image,
    });
    let composed = composed.and_then(Result::ok);
    let digest = composed
        .as_ref()
        .map(|composed| composed.revision.digest().to_string());
    Ok(pb::CreateRollbackDeployResponse {
        deploy: composed
            .map(|composed| encode::rollback_preview(composed, description, rollback, now, sight)),
        revision_digest: digest.unwrap_or_default(),
        blockers: blockers.iter().map(encode::blocker).collect(),
    })
}

/// What a composed revision needs and is not there.
#[derive(Default)]
struct Gone {
    /// The bundles that the Deployment does not have, or whose bytes are gone.
    bundles: BTreeSet<Sha256Digest>,
    image: Option<ImageDigest>,
}

async fn gone(
    registry: &Registry,
    uid: DeploymentUid,
    composed: &ComposedRollback,
) -> Result<Gone, Problem> {
    let needed = composed.revision.bundles();
    let digests = needed.keys().copied().collect();
    let objects = registry.store.bundle_objects(uid, &digests).await;
    let objects = objects.map_err(|e| About::deployment(composed.name.deployment()).problem(e))?;
    let mut bundles = BTreeSet::new();
    for (sha256, bundle) in needed {
        let there = match objects.get(&sha256) {
            Some(object) => registry.bundles.has(uid, object, bundle.size).await,
            None => Ok(false),
        };
        if !there.map_err(errors::bundle_store)? {
            bundles.insert(sha256);
        }
    }
    let image = &composed.revision.image;
    let is_gone = image::is_gone(registry, image).await?;
    Ok(Gone {
        bundles,
        image: is_gone.then_some(image.digest),
    })
}

struct Asked {
    target: DeployNumber,
    scope: Scope,
    rollback: RollbackId,
    expected_latest: DeployNumber,
    permit: String,
    description: String,
    allow_marked_bad: bool,
    hold: bool,
}

fn decode_write(
    deployment: &DeploymentName,
    request: pb::CreateRollbackDeployRequest,
) -> Result<Asked, Problem> {
    let pb::CreateRollbackDeployRequest {
        parent: _,
        target_deploy,
        scope,
        rollback,
        permit,
        expected_latest_deploy,
        description,
        validate_only: _,
        allow_marked_bad,
        hold,
    } = request;
    let mut fields = Fields::new();
    let target = decode_target(&mut fields, deployment, &target_deploy);
    let scope = convert::scope(&mut fields, "scope", scope);
    let rollback = fields.parse("rollback", &rollback);
    let rollback = rollback.and_then(|name| id_in(&mut fields, &name, deployment));
    let expected_latest = decode::expected_latest(&mut fields, &expected_latest_deploy, deployment);
    let description = fields.required_text("description", description, LONGEST_DESCRIPTION);
    let (Some(target), Some(scope), Some(rollback), Some(expected_latest), Some(description)) =
        (target, scope, rollback, expected_latest, description)
    else {
        return Err(fields.into_problem());
    };
    Ok(Asked {
        target,
        scope,
        rollback,
        expected_latest,
        permit,
        description,
        allow_marked_bad,
        hold,
    })
}

struct AskedPreview {
    target: DeployNumber,
    scope: Scope,
    rollback: Option<RollbackId>,
    expected_latest: Option<DeployNumber>,
    description: String,
    allow_marked_bad: bool,
    hold: bool,
}

fn decode_preview(
    deployment: &DeploymentName,
    request: pb::CreateRollbackDeployRequest,
) -> Result<AskedPreview, Problem> {
    let pb::CreateRollbackDeployRequest {
        parent: _,
        target_deploy,
        scope,
        rollback,
        permit: _,
        expected_latest_deploy,
        description,
        validate_only: _,
        allow_marked_bad,
        hold,
    } = request;
    let mut fields = Fields::new();
    let target = decode_target(&mut fields, deployment, &target_deploy);
    let scope = convert::scope(&mut fields, "scope", scope);
    let rollback = match fields.parse_optional("rollback", &rollback) {
        Some(Some(name)) => id_in(&mut fields, &name, deployment).map(Some),
        Some(None) => Some(None),
        None => None,
    };
    let expected_latest = match expected_latest_deploy.as_str() {
        "" => Some(None),
        text => decode::expected_latest(&mut fields, text, deployment).map(Some),
    };
    let description = fields.text("description", description, LONGEST_DESCRIPTION);
    let (Some(target), Some(scope), Some(rollback), Some(expected_latest), Some(description)) =
        (target, scope, rollback, expected_latest, description)
    else {
        return Err(fields.into_problem());
    };
    Ok(AskedPreview {
        target,
        scope,
        rollback,
        expected_latest,
        description,
        allow_marked_bad,
        hold,
    })
}

fn decode_target(
    fields: &mut Fields,
    deployment: &DeploymentName,
    text: &str,
) -> Option<DeployNumber> {
    let name = fields.parse("target_deploy", text)?;
    decode::number_in(fields, "target_deploy", &name, deployment)
}

/// The id of a rollback, which must be one of the Deployment's.
fn id_in(
    fields: &mut Fields,
    rollback: &RollbackName,
    deployment: &DeploymentName,
) -> Option<RollbackId> {
    if rollback.deployment() == deployment {
        return Some(rollback.id());
    }
    fields.violation(
        "rollback",
        "must be a rollback of the Deployment that `parent` names",
    );
    None
}
