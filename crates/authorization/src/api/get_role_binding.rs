//! GetRoleBinding: one binding.

use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use model::names::RoleBindingName;
use proto::authorization::v1::{GetRoleBindingRequest, GetRoleBindingResponse};
use tonic::Request;

use super::asked::Asked;
use super::authorize::{administering, authorize};
use super::{Authorization, encode};

pub(super) async fn handle(
    service: &Authorization,
    request: Request<GetRoleBindingRequest>,
) -> Result<GetRoleBindingResponse, Problem> {
    let caller = identity::caller(&request)?;
    let GetRoleBindingRequest { name } = request.into_inner();
    let mut fields = Fields::new();
    let Some(name) = fields.parse::<RoleBindingName>("name", &name) else {
        return Err(fields.into_problem());
    };
    let resource = name.parent();
    let asked = Asked::caller(&caller, service.environment.now())?;
    let index = service.policy.remembered(&asked.credential)?;
    authorize(
        service,
        &index,
        &asked.subject,
        administering(&resource),
        &resource,
    )?;

    let binding = service.store.role_binding(&name).await?;
    let binding = binding.ok_or_else(|| Problem::not_found("roleBinding", &name))?;
    Ok(GetRoleBindingResponse {
        role_binding: Some(encode::role_binding(&binding)),
    })
}
