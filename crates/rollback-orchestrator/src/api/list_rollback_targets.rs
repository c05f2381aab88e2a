//! ListRollbackTargets: each deploy of a history, and what a rollback to it would meet.
//!
//! Whoever may see the history may see it: it says what the caller lacks.

use chassis::access::Freshness;
use chassis::convert;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::paging::Page;
use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use model::names::DeploymentName;
use proto::rollback::v1::{ListRollbackTargetsRequest, ListRollbackTargetsResponse};
use tonic::Request;

use super::permission::held_for_plan;
use super::{Api, encode};
use crate::clients::registry::PreviewPage;
use crate::planning::TargetPage;

/// Each deploy comes with a judgement for each scope.
const LARGEST_PAGE: i64 = 200;

pub(super) async fn handle(
    service: &Api,
    request: Request<ListRollbackTargetsRequest>,
) -> Result<ListRollbackTargetsResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();

    let mut fields = Fields::new();
    let parent = fields.parse::<DeploymentName>("parent", &request.parent);
    let asked = read(&mut fields, &request);
    let Some(parent) = parent else {
        return Err(fields.into_problem());
    };

    let freshness = Freshness::MinimizeLatency;
    let held = held_for_plan(&service.access, &caller, &parent, freshness).await?;
    let Some((page, as_of)) = asked else {
        return Err(fields.into_problem());
    };

    let previews = PreviewPage {
        deployment: &parent,
        size: i32::try_from(page.size).unwrap_or(i32::MAX),
        token: page.after.as_deref().unwrap_or_default(),
        allow_marked_bad: request.allow_marked_bad,
    };
    let targets = service
        .planner
        .targets(caller.principal(), held, TargetPage { previews, as_of })
        .await?;
    Ok(encode::targets(targets, &page))
}

/// Reads everything but the parent. The registry's token of the next page is in the token that the
/// caller gets, which belongs to all of the query.
fn read(
    fields: &mut Fields,
    request: &ListRollbackTargetsRequest,
) -> Option<(Page, Option<DateTime<Utc>>)> {
    let ListRollbackTargetsRequest {
        parent,
        page_size,
        page_token,
        allow_marked_bad,
        as_of,
    } = request;
    let as_of = match as_of {
        Some(time) => convert::time(fields, "as_of", time).map(Some),
        None => Some(None),
    };
    let query = format!("{parent} {allow_marked_bad} {as_of:?}");
    let page = Page::read(fields, *page_size, page_token, &query);
    Some((page?.at_most(LARGEST_PAGE), as_of?))
}
