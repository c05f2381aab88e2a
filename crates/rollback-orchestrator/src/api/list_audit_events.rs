//! ListAuditEvents: what was decided and done about the rollbacks of a Deployment, in order.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::paging::{Listing, Page};
use chassis::problem::Problem;
use model::names::{DeploymentName, RollbackId, RollbackName};
use proto::rollback::v1::{ListAuditEventsRequest, ListAuditEventsResponse};
use tonic::Request;

use super::permission::{NEEDED, VISIBLE_BY};
use super::{Api, encode};

pub(super) async fn handle(
    service: &Api,
    request: Request<ListAuditEventsRequest>,
) -> Result<ListAuditEventsResponse, Problem> {
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
        after,
        rollback,
    }) = read(&mut fields, &parent, &request)
    else {
        return Err(fields.into_problem());
    };
    let mut events = service
        .store
        .audit_events(&parent, rollback, after, page.size + 1)
        .await?;
    let more = events.len() > page.limit();
    events.truncate(page.limit());
    let (audit_events, next_page_token) = page.encode(
        Listing {
            items: events,
            more,
        },
        |event| event.number.to_string(),
        |event| Some(encode::audit_event(event)),
    );
    Ok(ListAuditEventsResponse {
        audit_events,
        next_page_token,
    })
}

struct Wanted {
    page: Page,
    after: i64,
    rollback: Option<RollbackId>,
}

fn read(
    fields: &mut Fields,
    parent: &DeploymentName,
    request: &ListAuditEventsRequest,
) -> Option<Wanted> {
    let ListAuditEventsRequest {
        parent: _,
        page_size,
        page_token,
        after_event,
        rollback,
    } = request;
    let query = format!("{parent} {after_event} {rollback}");
    let page = Page::read(fields, *page_size, page_token, &query);
    let after_event = fields.check("after_event", *after_event, |after| {
        (*after >= 0).then_some(()).ok_or("must not be negative")
    });
    let rollback = fields.parse_optional::<RollbackName>("rollback", rollback);
    let rollback = rollback.and_then(|name| match name {
        Some(name) if name.deployment() != parent => {
            fields.violation("rollback", "must be a rollback of the parent");
            None
        }
        name => Some(name.map(|name| name.id())),
    });
    let page = page?;
    let after = match page.after.as_deref().map(str::parse::<i64>) {
        None => after_event?,
        Some(after) => fields.ok(
            "page_token",
            after.map_err(|_| "is no position in this list"),
        )?,
    };
    Some(Wanted {
        page,
        after,
        rollback: rollback?,
    })
}
