//! ListRoles: the custom roles of a resource, or all that can be bound there.

use chassis::fields::Fields;
use chassis::identity;
use chassis::paging::Page;
use chassis::problem::Problem;
use model::names::{ResourceName, RoleName};
use model::permissions::PermissionSet;
use model::roles::SystemRole;
use proto::authorization::v1::{self as pb, ListRolesRequest, ListRolesResponse};
use tonic::Request;

use super::asked::Asked;
use super::authorize::{administering, authorize};
use super::{Authorization, encode};
use crate::domain::index::{Index, IndexedRole};
use crate::domain::policy::{Role, check_bindable};

pub(super) async fn handle(
    service: &Authorization,
    request: Request<ListRolesRequest>,
) -> Result<ListRolesResponse, Problem> {
    let caller = identity::caller(&request)?;
    let ListRolesRequest {
        parent,
        page_size,
        page_token,
        include_inherited,
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

    let query = format!("{parent} {include_inherited}");
    let page = Page::read(&mut fields, page_size, &page_token, &query);
    let Some((page, after)) = page.and_then(|page| position(&mut fields, page)) else {
        return Err(fields.into_problem());
    };
    let most = usize::try_from(page.size + 1).unwrap_or(usize::MAX);
    let mut roles = if include_inherited {
        built_in(&index, after.as_ref())
    } else {
        Vec::new()
    };
    let sources = parent
        .ancestors()
        .take(if include_inherited { usize::MAX } else { 1 });
    let left = most.saturating_sub(roles.len());
    let custom = service.store.roles(sources, after.as_ref(), left).await?;
    roles.extend(custom.iter().map(Listed::custom));

    let next_page_token = page.cut(&mut roles, |role| role.name.to_string());
    let bindable = roles
        .into_iter()
        .filter(|role| check_bindable(&role.name, role.permissions, &parent).is_ok());
    Ok(ListRolesResponse {
        roles: bindable.map(|role| role.encoded).collect(),
        next_page_token,
    })
}

/// The page, and the role after which it begins.
fn position(fields: &mut Fields, page: Page) -> Option<(Page, Option<RoleName>)> {
    let after = page.after.as_deref().unwrap_or_default();
    let after = fields.parse_optional::<RoleName>("page_token", after)?;
    Some((page, after))
}

struct Listed {
    name: RoleName,
    permissions: PermissionSet,
    encoded: pb::Role,
}

impl Listed {
    fn built_in(role: &IndexedRole) -> Self {
        Self {
            name: role.name.clone(),
            permissions: role.permissions,
            encoded: encode::built_in_role(role),
        }
    }

    fn custom(role: &Role) -> Self {
        Self {
            name: role.name.clone(),
            permissions: role.permissions,
            encoded: encode::role(role),
        }
    }
}

/// The built-in roles after `after`. Uppercase comes first: all of them are before any custom role.
fn built_in(index: &Index, after: Option<&RoleName>) -> Vec<Listed> {
    let mut names = SystemRole::ALL
        .iter()
        .map(|role| RoleName::built_in(*role))
        .filter(|name| after.is_none_or(|after| name.to_string() > after.to_string()))
        .collect::<Vec<_>>();
    names.sort_unstable_by_key(ToString::to_string);
    let roles = names.iter().filter_map(|name| index.role(name));
    roles.map(Listed::built_in).collect()
}
