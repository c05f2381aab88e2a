//! ListDeployments lists the Deployments of a workspace that the caller may see.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::{Caller, caller};
use chassis::paging::Page;
use chassis::problem::Problem;
use model::{Permission, ResourceName, WorkspaceName};
use proto::registry::v1 as pb;
use tonic::Request;
use uuid::Uuid;

use super::get_deployment::{ASKED, is_visible, show};
use super::{Registry, decode, errors};
use crate::domain::{DeploymentFilter, DeploymentUid};
use crate::store::{DeploymentList, DeploymentOrder, Listing};

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::ListDeploymentsRequest>,
) -> Result<pb::ListDeploymentsResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let workspace: WorkspaceName = decode::name("parent", &request.parent)?;
    let (page, wanted, after) = decode_page(&request, &workspace)?;

    let listing = visible(registry, &caller, &wanted, after, page.limit()).await?;
    let (deployments, next_page_token) = page.encode(
        listing,
        |(uid, _)| uid.to_string(),
        |(_, deployment)| deployment,
    );
    Ok(pb::ListDeploymentsResponse {
        deployments,
        next_page_token,
    })
}

/// What is listed.
struct Wanted<'a> {
    list: DeploymentList<'a>,
    filter: DeploymentFilter,
}

/// How many Deployments are looked at for one page.
const MOST_LOOKED_AT: usize = 1_000;
/// How many are looked at once it has shown that the caller may not see all of them.
const NEXT_LOOK: usize = 250;

/// The Deployments of a page. One that the caller may not see stands without contents, and only at
/// the end, where the next page has to begin after it.
///
/// The list is read on until the page is full and another one follows that the caller may see: whether
/// there is a next page would tell otherwise that there is something, and how much. Whoever may see
/// nothing of the workspace gets an empty list, as if it were empty. Only where more than
/// [`MOST_LOOKED_AT`] in a row cannot be seen does a token tell that there is something.
async fn visible(
    registry: &Registry,
    caller: &Caller,
    wanted: &Wanted<'_>,
    mut after: Option<DeploymentUid>,
    size: usize,
) -> Result<Listing<(DeploymentUid, Option<pb::Deployment>)>, Problem> {
    let Wanted { list, filter } = wanted;
    let mut visible = Vec::new();
    let mut looked_at = 0;
    let mut look = size + 1;
    loop {
        let Listing { items, more } = registry
            .store
            .list_deployments(*list, after, look)
            .await
            .map_err(errors::unexpected)?;
        let names = items
            .iter()
            .map(|deployment| ResourceName::from(deployment.name.clone()));
        let names = names.collect::<Vec<_>>();
        let held = registry
            .access
            .held_on_each(caller, &names, ASKED, Freshness::MinimizeLatency)
            .await?;

        let cut_short = more && items.len() < look;
        looked_at += items.len();
        for (deployment, held) in items.into_iter().zip(held) {
            let uid = deployment.uid;
            after = Some(uid);
            let names_only = !held.contains(Permission::DeploymentConfigGet);
            if is_visible(held) && filter.lets_through(&deployment, names_only) {
                visible.push((uid, Some(show(deployment, held))));
            }
        }
        if visible.len() > size {
            visible.truncate(size);
            break Ok(end(visible, true));
        }
        if !more {
            break Ok(end(visible, false));
        }
        // A page that is large enough need not be full.
        if looked_at >= MOST_LOOKED_AT || (cut_short && !visible.is_empty()) {
            visible.extend(after.map(|uid| (uid, None)));
            break Ok(end(visible, true));
        }
        look = NEXT_LOOK;
    }
}

const fn end<T>(items: Vec<T>, more: bool) -> Listing<T> {
    Listing { items, more }
}

fn decode_page<'a>(
    request: &pb::ListDeploymentsRequest,
    workspace: &'a WorkspaceName,
) -> Result<(Page, Wanted<'a>, Option<DeploymentUid>), Problem> {
    let pb::ListDeploymentsRequest {
        parent: _,
        page_size,
        page_token,
        show_deleted,
        filter,
        order_by,
    } = request;
    let mut fields = Fields::new();
    let query = format!("{workspace} {show_deleted} {order_by} {filter}");
    let page = Page::read(&mut fields, *page_size, page_token, &query);
    let filter = decode::filter(&mut fields, filter, super::filter::deployments);
    let order = decode_order(&mut fields, order_by);
    let (Some(page), Some(filter), Some(order)) = (page, filter, order) else {
        return Err(fields.into_problem());
    };
    let wanted = Wanted {
        list: DeploymentList {
            workspace,
            show_deleted: *show_deleted,
            order,
        },
        filter,
    };
    match page.after.as_deref().map(Uuid::try_parse).transpose() {
        Ok(after) => Ok((page, wanted, after.map(DeploymentUid::new))),
        Err(_) => {
            fields.violation("page_token", "is not a next_page_token of this list");
            Err(fields.into_problem())
        }
    }
}

fn decode_order(fields: &mut Fields, order_by: &str) -> Option<DeploymentOrder> {
    let words = order_by.split_whitespace().take(3).collect::<Vec<_>>();
    match words.as_slice() {
        [] | ["name"] => Some(DeploymentOrder::Name),
        ["name", "desc"] => Some(DeploymentOrder::NameDescending),
        ["create_time"] => Some(DeploymentOrder::CreateTime),
        ["create_time", "desc"] => Some(DeploymentOrder::CreateTimeDescending),
        ["update_time"] => Some(DeploymentOrder::UpdateTime),
        ["update_time", "desc"] => Some(DeploymentOrder::UpdateTimeDescending),
        _ => {
            fields.violation(
                "order_by",
                "must be name, create_time or update_time, perhaps with desc",
            );
            None
        }
    }
}
