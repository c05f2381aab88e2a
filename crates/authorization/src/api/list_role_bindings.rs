//! ListRoleBindings: the bindings on a resource itself, or on all below it too.

use chassis::fields::Fields;
use chassis::identity;
use chassis::paging::Page;
use chassis::problem::Problem;
use model::names::{ResourceName, RoleBindingName};
use proto::authorization::v1::{ListRoleBindingsRequest, ListRoleBindingsResponse};
use tonic::Request;

use super::asked::Asked;
use super::authorize::{administering, authorize};
use super::{Authorization, encode};
use crate::store::ListedBindings;

pub(super) async fn handle(
    service: &Authorization,
    request: Request<ListRoleBindingsRequest>,
) -> Result<ListRoleBindingsResponse, Problem> {
    let caller = identity::caller(&request)?;
    let ListRoleBindingsRequest {
        parent,
        page_size,
        page_token,
        include_descendants: descendants,
        principal,
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

    let query = format!("{parent} {descendants} {principal}");
    let principal = fields.parse_optional("principal", &principal);
    let page = Page::read(&mut fields, page_size, &page_token, &query)
        .and_then(|page| position(&mut fields, page));
    let (Some(principal), Some((page, after))) = (principal, page) else {
        return Err(fields.into_problem());
    };
    let listed = ListedBindings {
        resource: parent,
        descendants,
        principal,
    };
    let most = usize::try_from(page.size + 1).unwrap_or(usize::MAX);
    let bindings = service.store.role_bindings(&listed, after.as_ref(), most);
    let mut bindings = bindings.await?;
    let next_page_token = page.cut(&mut bindings, |binding| binding.name.to_string());
    Ok(ListRoleBindingsResponse {
        role_bindings: bindings.iter().map(encode::role_binding).collect(),
        next_page_token,
    })
}

/// The page, and the binding after which it begins.
fn position(fields: &mut Fields, page: Page) -> Option<(Page, Option<RoleBindingName>)> {
    let after = page.after.as_deref().unwrap_or_default();
    let after = fields.parse_optional::<RoleBindingName>("page_token", after)?;
    Some((page, after))
}
