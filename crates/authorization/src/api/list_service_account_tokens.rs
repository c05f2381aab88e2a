//! ListServiceAccountTokens: what is known of the tokens of service accounts.

use chassis::fields::Fields;
use chassis::identity;
use chassis::paging::Page;
use chassis::problem::Problem;
use model::names::{Level, NameError, ResourceName, ServiceAccountName};
use model::permissions::Permission;
use proto::authorization::v1::{ListServiceAccountTokensRequest, ListServiceAccountTokensResponse};
use tonic::Request;

use super::asked::Asked;
use super::authorize::authorize;
use super::{Authorization, encode};
use crate::domain::tokens::TokenName;
use crate::store::Accounts;

/// What stands for all accounts of a resource.
const ALL_ACCOUNTS: &str = "/serviceAccounts/-";

pub(super) async fn handle(
    service: &Authorization,
    request: Request<ListServiceAccountTokensRequest>,
) -> Result<ListServiceAccountTokensResponse, Problem> {
    let caller = identity::caller(&request)?;
    let ListServiceAccountTokensRequest {
        parent,
        page_size,
        page_token,
        include_inactive,
    } = request.into_inner();
    let mut fields = Fields::new();
    let Some(accounts) = fields.ok("parent", accounts(&parent)) else {
        return Err(fields.into_problem());
    };
    let resource = match &accounts {
        Accounts::One(account) => account.parent(),
        Accounts::Of(resource) => resource.clone(),
    };
    let now = service.environment.now();
    let asked = Asked::caller(&caller, now)?;
    let index = service.policy.remembered(&asked.credential)?;
    authorize(
        service,
        &index,
        &asked.subject,
        listing(&resource),
        &resource,
    )?;

    let query = format!("{parent} {include_inactive}");
    let page = Page::read(&mut fields, page_size, &page_token, &query);
    let Some((page, after)) = page.and_then(|page| position(&mut fields, page)) else {
        return Err(fields.into_problem());
    };
    let active_at = (!include_inactive).then_some(now);
    let mut tokens = service
        .store
        .service_account_tokens(&accounts, active_at, after.as_ref(), page.size + 1)
        .await?;
    let next_page_token = page.cut(&mut tokens, |token| token.name.to_string());
    Ok(ListServiceAccountTokensResponse {
        service_account_tokens: tokens.iter().map(encode::service_account_token).collect(),
        next_page_token,
    })
}

fn accounts(parent: &str) -> Result<Accounts, NameError> {
    match parent.strip_suffix(ALL_ACCOUNTS).map(str::parse) {
        // The system has no accounts, as the name of one says.
        Some(Ok(ResourceName::System)) | None => {
            parent.parse::<ServiceAccountName>().map(Accounts::One)
        }
        Some(Ok(resource)) => Ok(Accounts::Of(resource)),
        Some(Err(error)) => Err(error),
    }
}

/// What it takes to see the tokens of the accounts of a resource. The system has none.
fn listing(resource: &ResourceName) -> Permission {
    match resource.level() {
        Level::System => Permission::SystemServiceAccountsGet,
        Level::Workspace => Permission::WorkspaceServiceAccountsGet,
        Level::Deployment => Permission::DeploymentServiceAccountsGet,
    }
}

/// The page, and the token after which it begins.
fn position(fields: &mut Fields, page: Page) -> Option<(Page, Option<TokenName>)> {
    let after = page.after.as_deref().unwrap_or_default();
    let after = fields.parse_optional::<TokenName>("page_token", after)?;
    Some((page, after))
}
