//! CreateServiceAccountToken: a token of a service account, shown once.

use chassis::convert;
use chassis::fields::Fields;
use chassis::identity::{self, AUTHORIZATION_ISSUER, mint_service_account_token};
use chassis::problem::Problem;
use chassis::requests;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use model::names::{Level, Principal, RequestId, ResourceName, ServiceAccountName};
use model::permissions::Permission;
use proto::authorization::v1::{
    self as pb, CreateServiceAccountTokenRequest, CreateServiceAccountTokenResponse,
};
use tonic::Request;

use super::asked::Asked;
use super::authorize::{admit, authorize};
use super::change::Attempts;
use super::{Authorization, encode, problems};
use crate::domain::grant_rule;
use crate::domain::subject::Subject;
use crate::domain::tokens::{ServiceAccountToken, TokenId, TokenName};
use crate::store::Changed;

const LONGEST_DESCRIPTION: usize = 500;
const LONGEST_LIFETIME: TimeDelta = TimeDelta::days(365);

pub(super) async fn handle(
    service: &Authorization,
    request: Request<CreateServiceAccountTokenRequest>,
) -> Result<CreateServiceAccountTokenResponse, Problem> {
    let caller = identity::caller(&request)?;
    let request = request.into_inner();
    let account = account(&request)?;
    let parent = account.parent();
    let now = service.environment.now();
    let asked = Asked::caller(&caller, now)?;
    admit(service, &asked, creating(&parent), &parent).await?;
    let Asked {
        subject,
        credential,
        token_id: _,
    } = asked;

    let id = TokenId(service.environment.new_uuid());
    let mut attempts = Attempts::begin(service, &credential).await;
    let Changed {
        value: token,
        revision: _,
        made,
    } = loop {
        let index = attempts.policy().await?;
        authorize(service, &index, &subject, creating(&parent), &parent)?;
        let request_id = identified(&request, &subject, &account);
        let repeated = service.store.repeated_token(&account, request_id.as_ref());
        // It is not decided again: the token may have expired by now.
        if let Some(repeated) = repeated.await?
            && let Some(repeated) = attempts.end(Ok(repeated)).await?
        {
            break repeated;
        }
        let token = decode(&request, id, &account, &subject.principal, now)?;
        let at = service.environment.now();
        grant_rule::check_account(&index, &subject, &account, at, token.expire_time)
            .map_err(|error| problems::ungrantable(service, &index, &subject, &error))?;
        let written = service
            .store
            .create_service_account_token(index.revision(), &token, request_id.as_ref())
            .await;
        if let Some(changed) = attempts.end(written).await? {
            break changed;
        }
    };
    let secret = if made {
        sign(service, &token)?
    } else {
        String::new()
    };
    if made {
        let principal = &subject.principal;
        tracing::info!(
            %principal, %account, token_id = %id, expire_time = %token.expire_time,
            "service account token made"
        );
    }
    Ok(CreateServiceAccountTokenResponse {
        service_account_token: Some(encode::service_account_token(&token)),
        token: secret,
    })
}

fn account(request: &CreateServiceAccountTokenRequest) -> Result<ServiceAccountName, Problem> {
    let mut fields = Fields::new();
    let account = fields.parse("parent", &request.parent);
    account.ok_or_else(|| fields.into_problem())
}

/// What it takes to make tokens of the accounts of a resource. The system has none.
fn creating(resource: &ResourceName) -> Permission {
    match resource.level() {
        Level::System => Permission::SystemServiceAccountsCreate,
        Level::Workspace => Permission::WorkspaceServiceAccountsCreate,
        Level::Deployment => Permission::DeploymentServiceAccountsCreate,
    }
}

/// The request by its id, if it has one. That it is no id is told with all else that is wrong.
fn identified(
    request: &CreateServiceAccountTokenRequest,
    caller: &Subject,
    account: &ServiceAccountName,
) -> Option<requests::Request> {
    let id = request.request_id.parse().ok()?;
    let method = "CreateServiceAccountToken";
    let principal = &caller.principal;
    Some(requests::Request::new(
        principal, method, account, id, request,
    ))
}

fn decode(
    request: &CreateServiceAccountTokenRequest,
    id: TokenId,
    account: &ServiceAccountName,
    created_by: &Principal,
    now: DateTime<Utc>,
) -> Result<ServiceAccountToken, Problem> {
    let CreateServiceAccountTokenRequest {
        parent: _,
        service_account_token,
        request_id,
    } = request;
    let mut fields = Fields::new();
    let contents = fields
        .required("service_account_token", service_account_token.clone())
        .and_then(|token| decode_contents(&mut fields, token, now));
    let request_id = fields.parse_optional::<RequestId>("request_id", request_id);
    let (Some((description, expire_time)), Some(_)) = (contents, request_id) else {
        return Err(fields.into_problem());
    };
    Ok(ServiceAccountToken {
        name: TokenName {
            account: account.clone(),
            id,
        },
        description,
        expire_time,
        created_by: created_by.clone(),
        create_time: now,
        last_use_time: None,
        revocation: None,
    })
}

fn decode_contents(
    fields: &mut Fields,
    token: pb::ServiceAccountToken,
    now: DateTime<Utc>,
) -> Option<(String, DateTime<Utc>)> {
    const EXPIRE_TIME: &str = "service_account_token.expire_time";
    let pb::ServiceAccountToken {
        name: _,
        description,
        expire_time,
        created_by: _,
        create_time: _,
        last_use_time: _,
        revoke_time: _,
        revoked_by: _,
        revoke_reason: _,
    } = token;
    let description = fields.text(
        "service_account_token.description",
        description,
        LONGEST_DESCRIPTION,
    );
    let expire_time = fields
        .required(EXPIRE_TIME, expire_time)
        .and_then(|time| convert::time(fields, EXPIRE_TIME, &time))
        .and_then(|time| {
            // A token has whole seconds.
            fields.check(EXPIRE_TIME, time.trunc_subsecs(0), |time| {
                if *time <= now {
                    Err("must be in the future, by whole seconds")
                } else if *time > now + LONGEST_LIFETIME {
                    Err("must be at most 365 days ahead")
                } else {
                    Ok(())
                }
            })
        });
    Some((description?, expire_time?))
}

fn sign(service: &Authorization, token: &ServiceAccountToken) -> Result<String, Problem> {
    let TokenName {
        account,
        id: TokenId(id),
    } = &token.name;
    mint_service_account_token(
        &service.signing.signer(),
        AUTHORIZATION_ISSUER,
        account,
        *id,
        token.expire_time,
        &service.environment,
    )
    .map_err(Problem::internal)
}
