//! DeleteRoleBinding: takes a role from a principal.

use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use chassis::requests;
use model::names::{RequestId, RoleBindingName};
use proto::authorization::v1::{DeleteRoleBindingRequest, DeleteRoleBindingResponse};
use tonic::Request;

use super::Authorization;
use super::asked::Asked;
use super::authorize::{administering, admit, authorize};
use super::change::{self, Attempts};
use crate::store::Changed;

pub(super) async fn handle(
    service: &Authorization,
    request: Request<DeleteRoleBindingRequest>,
) -> Result<DeleteRoleBindingResponse, Problem> {
    let caller = identity::caller(&request)?;
    let request = request.into_inner();
    let name = name(&request)?;
    let resource = name.parent();
    let now = service.environment.now();
    let asked = Asked::caller(&caller, now)?;
    admit(service, &asked, administering(&resource), &resource).await?;
    let Asked {
        subject,
        credential,
        token_id: _,
    } = asked;

    let mut attempts = Attempts::begin(service, &credential).await;
    let Changed {
        value: (),
        revision,
        made,
    } = loop {
        let index = attempts.policy().await?;
        authorize(
            service,
            &index,
            &subject,
            administering(&resource),
            &resource,
        )?;
        let (request_id, reason) = decode(&request)?;
        let author = change::author(&subject, now, reason);
        let request_id = request_id.map(|id| {
            requests::Request::new(&subject.principal, "DeleteRoleBinding", &name, id, &request)
        });
        let written = service
            .store
            .delete_role_binding(index.revision(), &name, &author, request_id.as_ref())
            .await;
        if let Some(changed) = attempts.end(written).await? {
            break changed;
        }
    };
    if made {
        let principal = &subject.principal;
        tracing::info!(%principal, role_binding = %name, "role binding deleted");
    }
    Ok(DeleteRoleBindingResponse {
        policy_revision: revision.0,
    })
}

fn name(request: &DeleteRoleBindingRequest) -> Result<RoleBindingName, Problem> {
    let mut fields = Fields::new();
    let name = fields.parse("name", &request.name);
    name.ok_or_else(|| fields.into_problem())
}

fn decode(request: &DeleteRoleBindingRequest) -> Result<(Option<RequestId>, String), Problem> {
    let DeleteRoleBindingRequest {
        name: _,
        request_id,
        reason,
    } = request;
    let mut fields = Fields::new();
    let request_id = fields.parse_optional("request_id", request_id);
    let reason = change::reason(&mut fields, reason);
    match (request_id, reason) {
        (Some(request_id), Some(reason)) => Ok((request_id, reason)),
        (_, _) => Err(fields.into_problem()),
    }
}
