//! ListDeploys lists the deploys of a Deployment, newest first.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::paging::Page;
use chassis::problem::Problem;
use model::{DeployNumber, DeploymentName, Permission, PermissionSet};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::{About, deployment_missing};
use super::{Registry, access, decode, encode, page};
use crate::domain::DeployFilter;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::ListDeploysRequest>,
) -> Result<pb::ListDeploysResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let deployment: DeploymentName = decode::name("parent", &request.parent)?;
    let needed = PermissionSet::of(&[Permission::DeploymentDeployRevisionsGet]);
    let freshness = Freshness::MinimizeLatency;
    let sight = access::require(registry, &caller, &deployment, needed, freshness).await?;
    let (page, filter, before) = decode_page(&request, &deployment)?;

    let found = registry
        .store
        .list_deploys(&deployment, &filter, before, page.limit())
        .await;
    let found = found.map_err(|error| About::deployment(&deployment).problem(error))?;
    let listing = found.ok_or_else(|| deployment_missing(&deployment))?;
    let (deploys, next_page_token) = page.encode(
        listing,
        |(number, _)| number.to_string(),
        |(_, entry)| entry.map(|entry| encode::deploy(entry, registry.retention, sight)),
    );
    Ok(pb::ListDeploysResponse {
        deploys,
        next_page_token,
    })
}

fn decode_page(
    request: &pb::ListDeploysRequest,
    deployment: &DeploymentName,
) -> Result<(Page, DeployFilter, Option<DeployNumber>), Problem> {
    let mut fields = Fields::new();
    let page = Page::read(
        &mut fields,
        request.page_size,
        &request.page_token,
        &format!("{deployment} {}", request.filter),
    );
    let filter = decode::filter(&mut fields, &request.filter, super::filter::deploys);
    let before = page
        .as_ref()
        .and_then(|page| page::before(&mut fields, page));
    let (Some(page), Some(filter), Some(before)) = (page, filter, before) else {
        return Err(fields.into_problem());
    };
    Ok((page, filter, before))
}
