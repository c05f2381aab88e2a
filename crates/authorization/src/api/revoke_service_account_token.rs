//! RevokeServiceAccountToken: ends a token before its time.

use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use model::names::{Level, ResourceName};
use model::permissions::Permission;
use proto::authorization::v1::{
    RevokeServiceAccountTokenRequest, RevokeServiceAccountTokenResponse,
};
use tonic::Request;

use super::asked::Asked;
use super::authorize::{admit, authorize};
use super::change::{self, Attempts};
use super::{Authorization, encode};
use crate::domain::tokens::TokenName;
use crate::store::Changed;

pub(super) async fn handle(
    service: &Authorization,
    request: Request<RevokeServiceAccountTokenRequest>,
) -> Result<RevokeServiceAccountTokenResponse, Problem> {
    let caller = identity::caller(&request)?;
    let RevokeServiceAccountTokenRequest { name, reason } = request.into_inner();
    let mut fields = Fields::new();
    let Some(name) = fields.parse::<TokenName>("name", &name) else {
        return Err(fields.into_problem());
    };
    let parent = name.account.parent();
    let now = service.environment.now();
    let asked = Asked::caller(&caller, now)?;
    admit(service, &asked, revoking(&parent), &parent).await?;
    let Asked {
        subject,
        credential,
        token_id: _,
    } = asked;

    let mut attempts = Attempts::begin(service, &credential).await;
    let Changed {
        value: token,
        revision,
        made,
    } = loop {
        let index = attempts.policy().await?;
        authorize(service, &index, &subject, revoking(&parent), &parent)?;
        let mut fields = Fields::new();
        let Some(reason) = change::reason(&mut fields, &reason) else {
            return Err(fields.into_problem());
        };
        let author = change::author(&subject, now, reason);
        let written = service
            .store
            .revoke_service_account_token(index.revision(), &name, &author)
            .await;
        if let Some(changed) = attempts.end(written).await? {
            break changed;
        }
    };
    if made {
        let principal = &subject.principal;
        tracing::info!(%principal, token = %name, "service account token revoked");
    }
    Ok(RevokeServiceAccountTokenResponse {
        service_account_token: Some(encode::service_account_token(&token)),
        policy_revision: revision.0,
    })
}

/// What it takes to end tokens of the accounts of a resource. The system has none.
fn revoking(resource: &ResourceName) -> Permission {
    match resource.level() {
        Level::System => Permission::SystemServiceAccountsDelete,
        Level::Workspace => Permission::WorkspaceServiceAccountsDelete,
        Level::Deployment => Permission::DeploymentServiceAccountsDelete,
    }
}
