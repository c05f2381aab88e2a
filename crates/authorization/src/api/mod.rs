//! The RPCs of the service: one file each, named like the RPC.

mod apply_policy;
mod asked;
mod authorize;
mod batch_check_permissions;
mod change;
mod check_permission;
mod consistency;
mod create_role;
mod create_role_binding;
mod create_service_account_token;
mod delete_role;
mod delete_role_binding;
mod encode;
mod get_role;
mod get_role_binding;
mod get_signing_keys;
mod issue_permit;
mod list_effective_permissions;
mod list_permissions;
mod list_policy_changes;
mod list_role_bindings;
mod list_roles;
mod list_service_account_tokens;
mod problems;
mod revoke_service_account_token;
mod role_fields;
#[cfg(test)]
mod tests;
mod update_role;
mod who;
mod who_am_i;

use std::sync::Arc;

use chassis::environment::Environment;
use chassis::identity::{SigningFolder, TokenVerifier};
use chassis::problem::Problem;
use proto::authorization::v1 as pb;
use proto::authorization::v1::authorization_service_server::AuthorizationService;
use tonic::{Request, Response, Status};

use crate::decision_log::DecisionLog;
use crate::policy::Policy;
use crate::store::Store;
use crate::token_uses::TokenUses;

/// What the RPCs work with.
#[derive(Debug)]
pub(crate) struct Authorization {
    pub(crate) store: Store,
    pub(crate) policy: Arc<Policy>,
    /// Verifies the tokens of those who call, and of those who are asked about.
    pub(crate) verifier: Arc<TokenVerifier>,
    pub(crate) signing: SigningFolder,
    pub(crate) decisions: DecisionLog,
    pub(crate) token_uses: Arc<TokenUses>,
    pub(crate) environment: Environment,
}

/// The methods that need no identity.
pub(crate) const PUBLIC_METHODS: &[&str] =
    &["/reprise.authorization.v1.AuthorizationService/GetSigningKeys"];

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(result: Result<T, Problem>) -> Answer<T> {
    result.map(Response::new).map_err(Status::from)
}

#[rustfmt::skip] // One line per RPC: this is the table of contents.
#[deny(clippy::missing_trait_methods)]
#[tonic::async_trait]
impl AuthorizationService for Authorization {
    async fn check_permission(&self, request: Request<pb::CheckPermissionRequest>) -> Answer<pb::CheckPermissionResponse> { answer(check_permission::handle(self, request).await) }
    async fn batch_check_permissions(&self, request: Request<pb::BatchCheckPermissionsRequest>) -> Answer<pb::BatchCheckPermissionsResponse> { answer(batch_check_permissions::handle(self, request).await) }
    async fn list_effective_permissions(&self, request: Request<pb::ListEffectivePermissionsRequest>) -> Answer<pb::ListEffectivePermissionsResponse> { answer(list_effective_permissions::handle(self, request).await) }
    async fn list_permissions(&self, request: Request<pb::ListPermissionsRequest>) -> Answer<pb::ListPermissionsResponse> { answer(list_permissions::handle(self, &request)) }
    async fn issue_permit(&self, request: Request<pb::IssuePermitRequest>) -> Answer<pb::IssuePermitResponse> { answer(issue_permit::handle(self, request).await) }
    async fn who_am_i(&self, request: Request<pb::WhoAmIRequest>) -> Answer<pb::WhoAmIResponse> { answer(who_am_i::handle(self, &request)) }
    async fn create_role(&self, request: Request<pb::CreateRoleRequest>) -> Answer<pb::CreateRoleResponse> { answer(create_role::handle(self, request).await) }
    async fn get_role(&self, request: Request<pb::GetRoleRequest>) -> Answer<pb::GetRoleResponse> { answer(get_role::handle(self, request).await) }
    async fn list_roles(&self, request: Request<pb::ListRolesRequest>) -> Answer<pb::ListRolesResponse> { answer(list_roles::handle(self, request).await) }
    async fn update_role(&self, request: Request<pb::UpdateRoleRequest>) -> Answer<pb::UpdateRoleResponse> { answer(update_role::handle(self, request).await) }
    async fn delete_role(&self, request: Request<pb::DeleteRoleRequest>) -> Answer<pb::DeleteRoleResponse> { answer(delete_role::handle(self, request).await) }
    async fn create_role_binding(&self, request: Request<pb::CreateRoleBindingRequest>) -> Answer<pb::CreateRoleBindingResponse> { answer(create_role_binding::handle(self, request).await) }
    async fn get_role_binding(&self, request: Request<pb::GetRoleBindingRequest>) -> Answer<pb::GetRoleBindingResponse> { answer(get_role_binding::handle(self, request).await) }
    async fn list_role_bindings(&self, request: Request<pb::ListRoleBindingsRequest>) -> Answer<pb::ListRoleBindingsResponse> { answer(list_role_bindings::handle(self, request).await) }
    async fn delete_role_binding(&self, request: Request<pb::DeleteRoleBindingRequest>) -> Answer<pb::DeleteRoleBindingResponse> { answer(delete_role_binding::handle(self, request).await) }
    async fn create_service_account_token(&self, request: Request<pb::CreateServiceAccountTokenRequest>) -> Answer<pb::CreateServiceAccountTokenResponse> { answer(create_service_account_token::handle(self, request).await) }
    async fn list_service_account_tokens(&self, request: Request<pb::ListServiceAccountTokensRequest>) -> Answer<pb::ListServiceAccountTokensResponse> { answer(list_service_account_tokens::handle(self, request).await) }
    async fn revoke_service_account_token(&self, request: Request<pb::RevokeServiceAccountTokenRequest>) -> Answer<pb::RevokeServiceAccountTokenResponse> { answer(revoke_service_account_token::handle(self, request).await) }
    async fn apply_policy(&self, request: Request<pb::ApplyPolicyRequest>) -> Answer<pb::ApplyPolicyResponse> { answer(apply_policy::handle(self, request).await) }
    async fn list_policy_changes(&self, request: Request<pb::ListPolicyChangesRequest>) -> Answer<pb::ListPolicyChangesResponse> { answer(list_policy_changes::handle(self, request).await) }
    async fn get_signing_keys(&self, _: Request<pb::GetSigningKeysRequest>) -> Answer<pb::GetSigningKeysResponse> { answer(get_signing_keys::handle(self)) }
}
