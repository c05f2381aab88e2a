//! ListDeployments lists the Deployments of a workspace that the caller may see.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::paging::Page;
use chassis::problem::Problem;
use model::{ResourceName, WorkspaceName};
use proto::registry::v1 as pb;
use tonic::Request;
use uuid::Uuid;

use super::get_deployment::{ASKED, is_visible, show};
use super::{Registry, decode, errors, page};
use crate::domain::DeploymentUid;
use crate::store::Listing;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::ListDeploymentsRequest>,
) -> Result<pb::ListDeploymentsResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let workspace: WorkspaceName = decode::name("parent", &request.parent)?;
    let (page, after) = decode_page(&request, &workspace)?;

    let listing = registry
        .store
        .list_deployments(&workspace, after, page::size(&page))
        .await
        .map_err(errors::unexpected)?;
    // Whoever may see nothing of the workspace gets an empty list, as if it were empty.
    let names = listing
        .items
        .iter()
        .map(|deployment| ResourceName::from(deployment.name.clone()));
    let names = names.collect::<Vec<_>>();
    let held = registry
        .access
        .held_on_each(&caller, &names, ASKED, Freshness::MinimizeLatency)
        .await?;

    let items = listing.items.into_iter().zip(held).collect();
    let listing = Listing {
        items,
        more: listing.more,
    };
    let (deployments, next_page_token) = page::encode(
        &page,
        listing,
        |(deployment, _)| deployment.uid.to_string(),
        |(deployment, held)| is_visible(held).then(|| show(deployment, held)),
    );
    Ok(pb::ListDeploymentsResponse {
        deployments,
        next_page_token,
    })
}

fn decode_page(
    request: &pb::ListDeploymentsRequest,
    workspace: &WorkspaceName,
) -> Result<(Page, Option<DeploymentUid>), Problem> {
    let mut fields = Fields::new();
    let page = Page::read(
        &mut fields,
        request.page_size,
        &request.page_token,
        workspace,
    );
    let Some(page) = page else {
        return Err(fields.into_problem());
    };
    match page.after.as_deref().map(Uuid::try_parse).transpose() {
        Ok(after) => Ok((page, after.map(DeploymentUid::new))),
        Err(_) => {
            fields.violation("page_token", "is not a next_page_token of this list");
            Err(fields.into_problem())
        }
    }
}
