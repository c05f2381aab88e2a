//! The RPCs of the service: one file each, named like the RPC.

mod asked;
mod authorize;
mod batch_check_permissions;
mod change;
mod check_permission;
mod consistency;
mod create_role;
mod create_role_binding;
mod create_service_account_token;
mod delete_role_binding;
mod encode;
mod get_signing_keys;
mod issue_permit;
mod list_role_bindings;
mod problems;
#[cfg(test)]
mod tests;
mod who_am_i;

use std::sync::Arc;

use chassis::environment::Environment;
use chassis::identity::{SigningFolder, TokenVerifier};
use chassis::problem::Problem;
use proto::authorization::v1::authorization_service_server::AuthorizationService;
use proto::authorization::v1::{
    ApplyPolicyRequest, ApplyPolicyResponse, BatchCheckPermissionsRequest,
    BatchCheckPermissionsResponse, CheckPermissionRequest, CheckPermissionResponse,
    CreateRoleBindingRequest, CreateRoleBindingResponse, CreateRoleRequest, CreateRoleResponse,
    CreateServiceAccountTokenRequest, CreateServiceAccountTokenResponse, DeleteRoleBindingRequest,
    DeleteRoleBindingResponse, DeleteRoleRequest, DeleteRoleResponse, GetRoleBindingRequest,
    GetRoleBindingResponse, GetRoleRequest, GetRoleResponse, GetSigningKeysRequest,
    GetSigningKeysResponse, IssuePermitRequest, IssuePermitResponse,
    ListEffectivePermissionsRequest, ListEffectivePermissionsResponse, ListPermissionsRequest,
    ListPermissionsResponse, ListPolicyChangesRequest, ListPolicyChangesResponse,
    ListRoleBindingsRequest, ListRoleBindingsResponse, ListRolesRequest, ListRolesResponse,
    ListServiceAccountTokensRequest, ListServiceAccountTokensResponse,
    RevokeServiceAccountTokenRequest, RevokeServiceAccountTokenResponse, UpdateRoleRequest,
    UpdateRoleResponse, WhoAmIRequest, WhoAmIResponse,
};
use tonic::{Request, Response, Status};

use crate::policy::Policy;
use crate::store::Store;

/// What the RPCs work with.
#[derive(Debug)]
pub(crate) struct Authorization {
    pub(crate) store: Store,
    pub(crate) policy: Arc<Policy>,
    /// Verifies the tokens of those who call, and of those who are asked about.
    pub(crate) verifier: Arc<TokenVerifier>,
    pub(crate) signing: SigningFolder,
    pub(crate) environment: Environment,
}

/// The methods that need no identity.
pub(crate) const PUBLIC_METHODS: &[&str] =
    &["/reprise.authorization.v1.AuthorizationService/GetSigningKeys"];

#[tonic::async_trait]
impl AuthorizationService for Authorization {
    async fn check_permission(
        &self,
        request: Request<CheckPermissionRequest>,
    ) -> Result<Response<CheckPermissionResponse>, Status> {
        answer(check_permission::handle(self, request).await)
    }

    async fn batch_check_permissions(
        &self,
        request: Request<BatchCheckPermissionsRequest>,
    ) -> Result<Response<BatchCheckPermissionsResponse>, Status> {
        answer(batch_check_permissions::handle(self, request).await)
    }

    async fn issue_permit(
        &self,
        request: Request<IssuePermitRequest>,
    ) -> Result<Response<IssuePermitResponse>, Status> {
        answer(issue_permit::handle(self, request).await)
    }

    async fn who_am_i(
        &self,
        request: Request<WhoAmIRequest>,
    ) -> Result<Response<WhoAmIResponse>, Status> {
        answer(who_am_i::handle(&request))
    }

    async fn create_role(
        &self,
        request: Request<CreateRoleRequest>,
    ) -> Result<Response<CreateRoleResponse>, Status> {
        answer(create_role::handle(self, request).await)
    }

    async fn create_role_binding(
        &self,
        request: Request<CreateRoleBindingRequest>,
    ) -> Result<Response<CreateRoleBindingResponse>, Status> {
        answer(create_role_binding::handle(self, request).await)
    }

    async fn list_role_bindings(
        &self,
        request: Request<ListRoleBindingsRequest>,
    ) -> Result<Response<ListRoleBindingsResponse>, Status> {
        answer(list_role_bindings::handle(self, request).await)
    }

    async fn delete_role_binding(
        &self,
        request: Request<DeleteRoleBindingRequest>,
    ) -> Result<Response<DeleteRoleBindingResponse>, Status> {
        answer(delete_role_binding::handle(self, request).await)
    }

    async fn create_service_account_token(
        &self,
        request: Request<CreateServiceAccountTokenRequest>,
    ) -> Result<Response<CreateServiceAccountTokenResponse>, Status> {
        answer(create_service_account_token::handle(self, request).await)
    }

    async fn get_signing_keys(
        &self,
        _request: Request<GetSigningKeysRequest>,
    ) -> Result<Response<GetSigningKeysResponse>, Status> {
        answer(get_signing_keys::handle(self))
    }

    async fn list_effective_permissions(
        &self,
        _request: Request<ListEffectivePermissionsRequest>,
    ) -> Result<Response<ListEffectivePermissionsResponse>, Status> {
        answer(Err(unfinished()))
    }

    async fn list_permissions(
        &self,
        _request: Request<ListPermissionsRequest>,
    ) -> Result<Response<ListPermissionsResponse>, Status> {
        answer(Err(unfinished()))
    }

    async fn get_role(
        &self,
        _request: Request<GetRoleRequest>,
    ) -> Result<Response<GetRoleResponse>, Status> {
        answer(Err(unfinished()))
    }

    async fn list_roles(
        &self,
        _request: Request<ListRolesRequest>,
    ) -> Result<Response<ListRolesResponse>, Status> {
        answer(Err(unfinished()))
    }

    async fn update_role(
        &self,
        _request: Request<UpdateRoleRequest>,
    ) -> Result<Response<UpdateRoleResponse>, Status> {
        answer(Err(unfinished()))
    }

    async fn delete_role(
        &self,
        _request: Request<DeleteRoleRequest>,
    ) -> Result<Response<DeleteRoleResponse>, Status> {
        answer(Err(unfinished()))
    }

    async fn get_role_binding(
        &self,
        _request: Request<GetRoleBindingRequest>,
    ) -> Result<Response<GetRoleBindingResponse>, Status> {
        answer(Err(unfinished()))
    }

    async fn list_service_account_tokens(
        &self,
        _request: Request<ListServiceAccountTokensRequest>,
    ) -> Result<Response<ListServiceAccountTokensResponse>, Status> {
        answer(Err(unfinished()))
    }

    async fn revoke_service_account_token(
        &self,
        _request: Request<RevokeServiceAccountTokenRequest>,
    ) -> Result<Response<RevokeServiceAccountTokenResponse>, Status> {
        answer(Err(unfinished()))
    }

    async fn apply_policy(
        &self,
        _request: Request<ApplyPolicyRequest>,
    ) -> Result<Response<ApplyPolicyResponse>, Status> {
        answer(Err(unfinished()))
    }

    async fn list_policy_changes(
        &self,
        _request: Request<ListPolicyChangesRequest>,
    ) -> Result<Response<ListPolicyChangesResponse>, Status> {
        answer(Err(unfinished()))
    }
}

fn unfinished() -> Problem {
    Problem::new(
        tonic::Code::Unimplemented,
        proto::common::v1::ErrorReason::MethodUnknown,
        "the method is not finished",
    )
}

fn answer<T>(handled: Result<T, Problem>) -> Result<Response<T>, Status> {
    Ok(Response::new(handled?))
}
