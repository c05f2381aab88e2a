//! ListRollbacks: the rollbacks of a Deployment, newest first.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::filter::Filter;
use chassis::identity::caller;
use chassis::paging::Page;
use chassis::problem::Problem;
use model::names::DeploymentName;
use proto::rollback::v1::{ListRollbacksRequest, ListRollbacksResponse};
use tonic::Request;

use super::permission::{NEEDED, VISIBLE_BY};
use super::{Api, encode, filter};
use crate::domain::filter::RollbackFilter;
use crate::store::Position;

pub(super) async fn handle(
    service: &Api,
    request: Request<ListRollbacksRequest>,
) -> Result<ListRollbacksResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();

    let mut fields = Fields::new();
    let Some(parent) = fields.parse::<DeploymentName>("parent", &request.parent) else {
        return Err(fields.into_problem());
    };

    let resource = parent.clone().into();
    let freshness = Freshness::MinimizeLatency;
    service
        .access
        .require(&caller, &resource, NEEDED, VISIBLE_BY, freshness)
        .await?;

    let Some(Wanted {
        page,
        filter,
        before,
    }) = read(&mut fields, &parent, &request)
    else {
        return Err(fields.into_problem());
    };
    let listing = service
        .store
        .list_rollbacks(&parent, &filter, before, page.limit())
        .await?;
    let (rollbacks, next_page_token) = page.encode(
        listing,
        |(position, _)| position.to_string(),
        |(_, rollback)| rollback.map(encode::rollback),
    );
    Ok(ListRollbacksResponse {
        rollbacks,
        next_page_token,
    })
}

struct Wanted {
    page: Page,
    filter: RollbackFilter,
    before: Option<Position>,
}

fn read(
    fields: &mut Fields,
    parent: &DeploymentName,
    request: &ListRollbacksRequest,
) -> Option<Wanted> {
    let ListRollbacksRequest {
        parent: _,
        page_size,
        page_token,
        filter,
    } = request;
    let query = format!("{parent} {filter}");
    let page = Page::read(fields, *page_size, page_token, &query);
    let filter = fields
        .ok("filter", Filter::parse(filter))
        .and_then(|parsed| fields.ok("filter", filter::rollbacks(parsed)));
    let page = page?;
    let before = page.after.as_deref().map(str::parse).transpose();
    let before = fields.ok("page_token", before)?;
    Some(Wanted {
        page,
        filter: filter?,
        before,
    })
}
