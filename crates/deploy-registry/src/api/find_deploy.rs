//! FindDeploy finds the deploy that somebody means who does not say its number.

use chassis::access::Freshness;
use chassis::convert;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use model::{DeploymentName, Permission, PermissionSet, Scope};
use proto::registry::v1 as pb;
use proto::registry::v1::find_deploy_request::By;
use tonic::Request;

use super::errors::{About, target_not_found};
use super::{Registry, access, decode, encode};
use crate::domain::MOST_SEARCHED;
use crate::store::{Entry, Error, Previous};

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::FindDeployRequest>,
) -> Result<pb::FindDeployResponse, Problem> {
    let caller = caller(&request)?;
    let pb::FindDeployRequest { parent, by } = request.into_inner();
    let deployment: DeploymentName = decode::name("parent", &parent)?;
    let needed = PermissionSet::of(&[Permission::DeploymentDeployRevisionsGet]);
    let freshness = Freshness::MinimizeLatency;
    let sight = access::require(registry, &caller, &deployment, needed, freshness).await?;
    let meant = decode_meant(by)?;

    let about = |error: Error| About::deployment(&deployment).problem(error);
    let entry = match meant {
        Meant::AsOf(time) => {
            let found = registry.store.deploy_as_of(&deployment, time).await;
            found.map_err(about)?.ok_or_else(|| {
                target_not_found(&deployment, "no deploy had become DEPLOYED at that time")
            })?
        }
        Meant::PreviousIn(scope) => {
            let found = registry.store.previous_deploy(&deployment, scope).await;
            previous(&deployment, scope, found.map_err(about)?)?
        }
    };
    let history = entry.history;
    Ok(pb::FindDeployResponse {
        latest_deploy: encode::deploy_name(&deployment, history.latest),
        current_deploy: encode::deploy_name(&deployment, history.current),
        deploy: Some(encode::deploy(entry, registry.retention, sight)),
    })
}

fn previous(deployment: &DeploymentName, scope: Scope, found: Previous) -> Result<Entry, Problem> {
    let what = match found {
        Previous::Found(entry) => return Ok(*entry),
        Previous::Nothing => format!(
            "no deploy before what runs now is DEPLOYED, not marked BAD, and different within scope {scope}"
        ),
        Previous::TooFar => format!(
            "none of the {MOST_SEARCHED} deploys before what runs now is DEPLOYED, not marked BAD, and \
             different within scope {scope}; older ones were not looked at"
        ),
    };
    Err(target_not_found(deployment, &what))
}

/// How the deploy is known.
enum Meant {
    AsOf(DateTime<Utc>),
    PreviousIn(Scope),
}

fn decode_meant(by: Option<By>) -> Result<Meant, Problem> {
    let mut fields = Fields::new();
    let meant = match by {
        Some(By::AsOf(time)) => convert::time(&mut fields, "as_of", &time).map(Meant::AsOf),
        Some(By::PreviousIn(scope)) => {
            convert::scope(&mut fields, "previous_in", scope).map(Meant::PreviousIn)
        }
        None => {
            fields.violation("by", "must be set: as_of or previous_in");
            None
        }
    };
    meant.ok_or_else(|| fields.into_problem())
}
