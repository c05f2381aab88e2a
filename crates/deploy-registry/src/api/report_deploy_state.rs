//! ReportDeployState says how the shipping of a deploy goes.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::problem::Problem;
use model::{DeployName, Permission, PermissionSet};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::About;
use super::{Registry, access, decode, encode};
use crate::domain::Report;

const LONGEST_REASON: usize = 500;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::ReportDeployStateRequest>,
) -> Result<pb::ReportDeployStateResponse, Problem> {
    let caller = caller(&request)?;
    let pb::ReportDeployStateRequest {
        name,
        state,
        reason,
    } = request.into_inner();
    let name: DeployName = decode::name("name", &name)?;
    let needed = PermissionSet::of(&[Permission::DeploymentDeploysReport]);
    let freshness = Freshness::FullyConsistent;
    let sight = access::require(registry, &caller, name.deployment(), needed, freshness).await?;

    let (report, reason) = decode_report(state, reason)?;
    let entry = registry
        .store
        .report_deploy_state(&name, report, &reason, registry.environment.now())
        .await
        .map_err(|error| About::deploy(&name).problem(error))?;
    let reported = report.state();
    tracing::info!(deploy = %name, %reported, by = %caller.principal(), "deploy reported");
    Ok(pb::ReportDeployStateResponse {
        deploy: Some(encode::deploy(entry, registry.retention, sight)),
    })
}

fn decode_report(state: i32, reason: String) -> Result<(Report, String), Problem> {
    let mut fields = Fields::new();
    let report = match pb::DeployState::try_from(state) {
        Ok(pb::DeployState::RollingOut) => Some(Report::RollingOut),
        Ok(pb::DeployState::Deployed) => Some(Report::Deployed),
        Ok(pb::DeployState::Failed) => Some(Report::Failed),
        Ok(
            pb::DeployState::Unspecified | pb::DeployState::Pending | pb::DeployState::Superseded,
        )
        | Err(_) => {
            fields.violation(
                "state",
                "must be DEPLOY_STATE_ROLLING_OUT, _DEPLOYED or _FAILED",
            );
            None
        }
    };
    let reason = fields.text("reason", reason, LONGEST_REASON);
    match (report, reason) {
        (Some(report), Some(reason)) => Ok((report, reason)),
        _ => Err(fields.into_problem()),
    }
}
