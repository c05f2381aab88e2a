//! CreateDeploy records a deploy.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::{Caller, caller};
use chassis::problem::Problem;
use chassis::requests;
use model::{DeploymentName, Permission, PermissionSet, RequestId};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::About;
use super::{Registry, access, decode, encode, image, shipment};
use crate::domain::AskedImage;
use crate::store::{Entry, NewDeploy};

const METHOD: &str = "CreateDeploy";

/// Whoever may ship one thing may know that they lack the permission for another.
const VISIBLE_BY: PermissionSet = access::VISIBLE_BY.union(PermissionSet::of(&[
    Permission::DeploymentImagesPush,
    Permission::DeploymentDagsPush,
]));

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::CreateDeployRequest>,
) -> Result<pb::CreateDeployResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let deployment: DeploymentName = decode::name("parent", &request.parent)?;
    let needed = needed(&request);
    let freshness = Freshness::FullyConsistent;
    let sight = access::require_or_see(
        registry,
        &caller,
        &deployment,
        needed,
        VISIBLE_BY,
        freshness,
    )
    .await?;

    let (mut new, image, request_id) = decode_new(registry, &caller, &deployment, &request)?;
    let replayable = request_id
        .map(|id| requests::Request::new(caller.principal(), METHOD, &deployment, id, &request));
    if let Some(image) = image {
        // What was recorded stays so, whatever a registry would say of it now.
        if let Some(replayable) = &replayable
            && let Some(entry) = replayed(registry, &deployment, replayable).await?
        {
            return Ok(pb::CreateDeployResponse {
                deploy: Some(encode::deploy(entry, registry.retention, sight)),
            });
        }
        let (image, verification) = image::verify(registry, image).await?;
        new.shipment.image = Some(image);
        new.image_verification = verification;
    }
    let entry = registry
        .store
        .create_deploy(&new, replayable.as_ref(), request.validate_only)
        .await
        .map_err(|error| {
            let about = About::deployment(&deployment);
            About {
                expected_latest: new.expected_latest,
                ..about
            }
            .problem(error)
        })?;
    if !request.validate_only {
        let deploy = &entry.deploy;
        tracing::info!(deploy = %deploy.name, created_by = %deploy.created_by, "deploy recorded");
    }
    Ok(pb::CreateDeployResponse {
        deploy: Some(encode::deploy(entry, registry.retention, sight)),
    })
}

async fn replayed(
    registry: &Registry,
    deployment: &DeploymentName,
    request: &requests::Request,
) -> Result<Option<Entry>, Problem> {
    let replayed = registry.store.replayed_deploy(deployment, request).await;
    replayed.map_err(|error| About::deployment(deployment).problem(error))
}

/// The permissions that a deploy needs, by what it ships. Versions are those of an image, and a commit
/// that was pulled brings DAGs.
fn needed(request: &pb::CreateDeployRequest) -> PermissionSet {
    let Some(deploy) = &request.deploy else {
        return PermissionSet::EMPTY;
    };
    let revision = deploy.revision.as_ref();
    let image = revision.is_some_and(|revision| {
        revision.image.is_some()
            || !revision.runtime_version.is_empty()
            || !revision.airflow_version.is_empty()
    });
    let bundles = revision
        .is_some_and(|revision| revision.dag_bundle.is_some() || !revision.dbt_bundles.is_empty());
    let dags = bundles || deploy.trigger() == pb::DeployTrigger::GitSync;
    let images_push = image.then_some(Permission::DeploymentImagesPush);
    let dags_push = dags.then_some(Permission::DeploymentDagsPush);
    images_push.into_iter().chain(dags_push).collect()
}

fn decode_new(
    registry: &Registry,
    caller: &Caller,
    deployment: &DeploymentName,
    request: &pb::CreateDeployRequest,
) -> Result<(NewDeploy, Option<AskedImage>, Option<RequestId>), Problem> {
    let mut fields = Fields::new();
    let request_id = fields.parse_optional("request_id", &request.request_id);
    let expected_latest = match request.expected_latest_deploy.as_str() {
        "" => Some(None),
        text => decode::expected_latest(&mut fields, text, deployment).map(Some),
    };
    let deploy = fields.required("deploy", request.deploy.clone());
    let verification = registry.images.mode();
    let parts = deploy
        .and_then(|deploy| shipment::deploy(&mut fields, deploy, &registry.catalog, verification));
    let (Some(request_id), Some(expected_latest), Some(parts)) =
        (request_id, expected_latest, parts)
    else {
        return Err(fields.into_problem());
    };
    let shipment::Parts {
        image,
        shipment,
        description,
        git,
    } = parts;
    let new = NewDeploy {
        deployment: deployment.clone(),
        shipment,
        image_verification: None,
        description,
        git,
        expected_latest,
        created_by: caller.principal().clone(),
        time: registry.environment.now(),
    };
    Ok((new, image, request_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_permission_follows_what_is_shipped() {
        let images = PermissionSet::of(&[Permission::DeploymentImagesPush]);
        let dags = PermissionSet::of(&[Permission::DeploymentDagsPush]);
        let image = Some(pb::Image::default());
        let dag_bundle = Some(pb::Bundle::default());
        let dbt_bundles = vec![pb::DbtBundle::default()];
        let nothing = pb::Revision::default;
        let version = "3.1-9".to_owned();
        for (revision, expected) in [
            (nothing(), PermissionSet::EMPTY),
            (
                pb::Revision {
                    image: image.clone(),
                    ..nothing()
                },
                images,
            ),
            (
                pb::Revision {
                    runtime_version: version.clone(),
                    ..nothing()
                },
                images,
            ),
            (
                pb::Revision {
                    airflow_version: version,
                    ..nothing()
                },
                images,
            ),
            (
                pb::Revision {
                    dag_bundle: dag_bundle.clone(),
                    ..nothing()
                },
                dags,
            ),
            (
                pb::Revision {
                    dbt_bundles,
                    ..nothing()
                },
                dags,
            ),
            (
                pb::Revision {
                    image,
                    dag_bundle,
                    ..nothing()
                },
                images.union(dags),
            ),
        ] {
            let deploy = Some(pb::Deploy {
                revision: Some(revision),
                ..pb::Deploy::default()
            });
            let request = pb::CreateDeployRequest {
                deploy,
                ..Default::default()
            };
            assert_eq!(needed(&request), expected);
        }
        let of = |deploy: Option<pb::Deploy>| {
            needed(&pb::CreateDeployRequest {
                deploy,
                ..Default::default()
            })
        };
        assert_eq!(of(None), PermissionSet::EMPTY);
        let pulled = pb::Deploy {
            trigger: pb::DeployTrigger::GitSync.into(),
            ..pb::Deploy::default()
        };
        assert_eq!(of(Some(pulled)), dags);
    }
}
