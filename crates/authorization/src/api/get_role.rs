//! GetRole: a built-in role as it is here, or a custom one.

use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use model::names::RoleName;
use proto::authorization::v1::{GetRoleRequest, GetRoleResponse};
use tonic::Request;

use super::asked::Asked;
use super::authorize::{administering, authorize};
use super::{Authorization, encode};

pub(super) async fn handle(
    service: &Authorization,
    request: Request<GetRoleRequest>,
) -> Result<GetRoleResponse, Problem> {
    let caller = identity::caller(&request)?;
    let GetRoleRequest { name } = request.into_inner();
    let mut fields = Fields::new();
    let Some(name) = fields.parse::<RoleName>("name", &name) else {
        return Err(fields.into_problem());
    };
    let asked = Asked::caller(&caller, service.environment.now())?;
    let index = service.policy.remembered(&asked.credential)?;
    let missing = || Problem::not_found("role", &name);

    let role = if name.system_role().is_some() {
        encode::built_in_role(index.role(&name).ok_or_else(missing)?)
    } else {
        let parent = name.parent();
        authorize(
            service,
            &index,
            &asked.subject,
            administering(&parent),
            &parent,
        )?;
        encode::role(&service.store.role(&name).await?.ok_or_else(missing)?)
    };
    Ok(GetRoleResponse { role: Some(role) })
}
