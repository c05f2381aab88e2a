//! DeleteRole: deletes a custom role, and with force its bindings.

use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use chassis::requests;
use model::names::{RequestId, RoleName};
use proto::authorization::v1::{DeleteRoleRequest, DeleteRoleResponse};
use tonic::Request;

use super::asked::Asked;
use super::authorize::{administering, admit, authorize};
use super::change::{self, Attempts};
use super::{Authorization, problems};
use crate::store::{Changed, Error};

pub(super) async fn handle(
    service: &Authorization,
    request: Request<DeleteRoleRequest>,
) -> Result<DeleteRoleResponse, Problem> {
    let caller = identity::caller(&request)?;
    let request = request.into_inner();
    let name = name(&request)?;
    let parent = name.parent();
    let now = service.environment.now();
    let asked = Asked::caller(&caller, now)?;
    admit(service, &asked, administering(&parent), &parent).await?;
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
        authorize(service, &index, &subject, administering(&parent), &parent)?;
        if name.system_role().is_some() {
            return Err(problems::role_built_in(&name));
        }
        let Wanted {
            etag,
            force,
            request_id,
            reason,
        } = decode(&request)?;
        let author = change::author(&subject, now, reason);
        let request_id = request_id.map(|id| {
            requests::Request::new(&subject.principal, "DeleteRole", &name, id, &request)
        });
        let written = match service.store.repeated_delete(request_id.as_ref()).await? {
            Some(repeated) => Ok(repeated),
            None => {
                let role = service.store.role(&name).await?;
                let role = role.ok_or_else(|| Error::NoSuchRole(name.clone()))?;
                problems::check_etag(&role, etag)?;
                service
                    .store
                    .delete_role(index.revision(), &name, force, &author, request_id.as_ref())
                    .await
            }
        };
        if let Some(changed) = attempts.end(written).await? {
            break changed;
        }
    };
    if made {
        let principal = &subject.principal;
        tracing::info!(%principal, role = %name, "role deleted");
    }
    Ok(DeleteRoleResponse {
        policy_revision: revision.0,
    })
}

fn name(request: &DeleteRoleRequest) -> Result<RoleName, Problem> {
    let mut fields = Fields::new();
    let name = fields.parse("name", &request.name);
    name.ok_or_else(|| fields.into_problem())
}

/// What a caller asks for.
struct Wanted<'a> {
    etag: &'a str,
    force: bool,
    request_id: Option<RequestId>,
    reason: String,
}

fn decode(request: &DeleteRoleRequest) -> Result<Wanted<'_>, Problem> {
    let DeleteRoleRequest {
        name: _,
        etag,
        force,
        request_id,
        reason,
    } = request;
    let mut fields = Fields::new();
    let request_id = fields.parse_optional("request_id", request_id);
    let reason = change::reason(&mut fields, reason);
    let (Some(request_id), Some(reason)) = (request_id, reason) else {
        return Err(fields.into_problem());
    };
    Ok(Wanted {
        etag,
        force: *force,
        request_id,
        reason,
    })
}
