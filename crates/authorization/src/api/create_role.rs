//! CreateRole: a custom role at a resource.

use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use chassis::requests;
use chrono::{DateTime, Utc};
use model::names::{Principal, RequestId, ResourceName, RoleName};
use model::permissions::PermissionSet;
use proto::authorization::v1::{self as pb, CreateRoleRequest, CreateRoleResponse};
use tonic::Request;

use super::asked::Asked;
use super::authorize::{administering, admit, authorize};
use super::change::{self, Attempts};
use super::{Authorization, encode, problems, role_fields};
use crate::domain::grant_rule;
use crate::domain::policy::Role;
use crate::store::Changed;

pub(super) async fn handle(
    service: &Authorization,
    request: Request<CreateRoleRequest>,
) -> Result<CreateRoleResponse, Problem> {
    let caller = identity::caller(&request)?;
    let request = request.into_inner();
    let parent = parent(&request)?;
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
        value: role,
        revision,
        made,
    } = loop {
        let index = attempts.policy().await?;
        authorize(service, &index, &subject, administering(&parent), &parent)?;
        let Wanted {
            role,
            request_id,
            reason,
        } = decode(&request, &parent, &subject.principal, now)?;
        let author = change::author(&subject, now, reason);
        let at = service.environment.now();
        grant_rule::check_permissions(&index, &subject, role.permissions, &parent, at, None)
            .map_err(|error| problems::ungrantable(service, &index, &subject, &error))?;
        let request_id = request_id.map(|id| {
            requests::Request::new(&subject.principal, "CreateRole", &parent, id, &request)
        });
        let written = service
            .store
            .create_role(index.revision(), &role, &author, request_id.as_ref())
            .await;
        if let Some(changed) = attempts.end(written).await? {
            break changed;
        }
    };
    if made {
        let principal = &subject.principal;
        tracing::info!(%principal, role = %role.name, permissions = %role.permissions, "role created");
    }
    Ok(CreateRoleResponse {
        role: Some(encode::role(&role)),
        policy_revision: revision.0,
    })
}

fn parent(request: &CreateRoleRequest) -> Result<ResourceName, Problem> {
    let mut fields = Fields::new();
    let parent = fields.parse("parent", &request.parent);
    parent.ok_or_else(|| fields.into_problem())
}

/// What a caller asks for.
struct Wanted {
    role: Role,
    request_id: Option<RequestId>,
    reason: String,
}

fn decode(
    request: &CreateRoleRequest,
    parent: &ResourceName,
    created_by: &Principal,
    create_time: DateTime<Utc>,
) -> Result<Wanted, Problem> {
    let CreateRoleRequest {
        parent: _,
        role_id,
        role,
        request_id,
        reason,
    } = request;
    let mut fields = Fields::new();
    let name = fields.ok("role_id", RoleName::custom(parent.clone(), role_id));
    let contents = fields
        .required("role", role.clone())
        .and_then(|role| decode_contents(&mut fields, role, parent));
    let request_id = fields.parse_optional::<RequestId>("request_id", request_id);
    let reason = change::reason(&mut fields, reason);
    let (Some(name), Some(contents), Some(request_id), Some(reason)) =
        (name, contents, request_id, reason)
    else {
        return Err(fields.into_problem());
    };
    let Contents {
        display_name,
        description,
        permissions,
    } = contents;
    let role = Role {
        name,
        display_name,
        description,
        permissions,
        created_by: created_by.clone(),
        create_time,
        updated_by: created_by.clone(),
        update_time: create_time,
        managed_by: None,
    };
    Ok(Wanted {
        role,
        request_id,
        reason,
    })
}

/// What a caller says of a role.
struct Contents {
    display_name: String,
    description: String,
    permissions: PermissionSet,
}

fn decode_contents(fields: &mut Fields, role: pb::Role, parent: &ResourceName) -> Option<Contents> {
    let pb::Role {
        name: _,
        display_name,
        description,
        permissions,
        created_by: _,
        create_time: _,
        etag: _,
        update_time: _,
        updated_by: _,
        managed_by: _,
        added_permissions: _,
        removed_permissions: _,
    } = role;
    let display_name = role_fields::display_name(fields, display_name);
    let description = role_fields::description(fields, description);
    let permissions = role_fields::permissions(fields, &permissions, parent);
    Some(Contents {
        display_name: display_name?,
        description: description?,
        permissions: permissions?,
    })
}
