//! MarkDeploy says what became known of a deploy.

use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::problem::Problem;
use model::DeployName;
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::About;
use super::{Registry, access, decode, encode};
use crate::domain::Verdict;

const LONGEST_REASON: usize = 500;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::MarkDeployRequest>,
) -> Result<pb::MarkDeployResponse, Problem> {
    let caller = caller(&request)?;
    let pb::MarkDeployRequest {
        name,
        verdict,
        reason,
        etag,
    } = request.into_inner();
    let name: DeployName = decode::name("name", &name)?;
    let sight = access::require_to_ship(registry, &caller, name.deployment()).await?;

    let verdict = decode_verdict(verdict, reason)?;
    let verdict = verdict
        .as_ref()
        .map(|(verdict, reason)| (*verdict, reason.as_str()));
    let now = registry.environment.now();
    let entry = registry
        .store
        .mark_deploy(&name, verdict, &etag, caller.principal(), now)
        .await
        .map_err(|error| About::deploy(&name).problem(error))?;
    let verdict = verdict.map_or("NONE", |(verdict, _)| verdict.as_str());
    tracing::info!(deploy = %name, verdict, by = %caller.principal(), "deploy marked");
    Ok(pb::MarkDeployResponse {
        deploy: Some(encode::deploy(entry, registry.retention, sight)),
    })
}

fn decode_verdict(verdict: i32, reason: String) -> Result<Option<(Verdict, String)>, Problem> {
    let mut fields = Fields::new();
    let verdict = match pb::Verdict::try_from(verdict) {
        Ok(pb::Verdict::Good) => Some(Some(Verdict::Good)),
        Ok(pb::Verdict::Bad) => Some(Some(Verdict::Bad)),
        Ok(pb::Verdict::None) => Some(None),
        Ok(pb::Verdict::Unspecified) | Err(_) => {
            fields.violation("verdict", "must be VERDICT_GOOD, _BAD or _NONE");
            None
        }
    };
    let reason = match verdict {
        Some(None) => fields.text("reason", reason, LONGEST_REASON),
        Some(Some(_)) | None => fields.required_text("reason", reason, LONGEST_REASON),
    };
    let (Some(verdict), Some(reason)) = (verdict, reason) else {
        return Err(fields.into_problem());
    };
    Ok(verdict.map(|verdict| (verdict, reason)))
}
