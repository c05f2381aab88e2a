//! ListPolicyChanges: who changed the policy, when and why.

use chassis::fields::Fields;
use chassis::identity;
use chassis::paging::Page;
use chassis::problem::Problem;
use model::names::ResourceName;
use proto::authorization::v1::{ListPolicyChangesRequest, ListPolicyChangesResponse};
use tonic::Request;

use super::asked::Asked;
use super::authorize::{administering, authorize};
use super::{Authorization, encode};
use crate::domain::policy::PolicyRevision;
use crate::domain::policy_change::Position;

pub(super) async fn handle(
    service: &Authorization,
    request: Request<ListPolicyChangesRequest>,
) -> Result<ListPolicyChangesResponse, Problem> {
    let caller = identity::caller(&request)?;
    let ListPolicyChangesRequest {
        parent,
        page_size,
        page_token,
        include_descendants: descendants,
    } = request.into_inner();
    let mut fields = Fields::new();
    let Some(parent) = fields.parse::<ResourceName>("parent", &parent) else {
        return Err(fields.into_problem());
    };
    let asked = Asked::caller(&caller, service.environment.now())?;
    let index = service.policy.remembered(&asked.credential)?;
    authorize(
        service,
        &index,
        &asked.subject,
        administering(&parent),
        &parent,
    )?;

    let query = format!("{parent} {descendants}");
    let page = Page::read(&mut fields, page_size, &page_token, &query);
    let Some((page, before)) = page.and_then(|page| position(&mut fields, page)) else {
        return Err(fields.into_problem());
    };
    let changes = service
        .store
        .policy_changes(&parent, descendants, before, page.size + 1);
    let mut changes = changes.await?;
    let next_page_token = page.cut(&mut changes, |change| {
        let Position { revision, number } = change.position;
        format!("{revision}/{number}")
    });
    Ok(ListPolicyChangesResponse {
        policy_changes: changes.iter().map(encode::policy_change).collect(),
        next_page_token,
    })
}

/// The page, and the change before which it begins.
fn position(fields: &mut Fields, page: Page) -> Option<(Page, Option<Position>)> {
    let Some(text) = page.after.as_deref() else {
        return Some((page, None));
    };
    let position = text.split_once('/').and_then(|(revision, number)| {
        Some(Position {
            revision: PolicyRevision(revision.parse().ok()?),
            number: number.parse().ok()?,
        })
    });
    let position = fields.ok("page_token", position.ok_or("is no position in this list"))?;
    Some((page, Some(position)))
}
