//! CreateRoleBinding: a role for a principal, on a resource and all that is below it.

use chassis::convert;
use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use chassis::requests;
use chrono::{DateTime, Months, Utc};
use model::names::{Principal, RequestId, ResourceName, RoleBindingId, RoleBindingName, RoleName};
use model::permissions::PermissionSet;
use proto::authorization::v1::{self as pb, CreateRoleBindingRequest, CreateRoleBindingResponse};
use tonic::Request;

use super::asked::Asked;
use super::authorize::{administering, admit, authorize};
use super::change::{self, Attempts};
use super::{Authorization, encode, problems};
use crate::domain::grant_rule;
use crate::domain::index::{Index, IndexedRole};
use crate::domain::policy::{RoleBinding, check_bindable};
use crate::domain::subject::Subject;
use crate::store::Changed;

const LONGEST_PRINCIPAL: usize = 256;
const EXPIRE_TIME: &str = "role_binding.expire_time";
const LONGEST_LIFETIME: Months = Months::new(10 * 12);

pub(super) async fn handle(
    service: &Authorization,
    request: Request<CreateRoleBindingRequest>,
) -> Result<CreateRoleBindingResponse, Problem> {
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
        value: binding,
        revision,
        made,
    } = loop {
        let index = attempts.policy().await?;
        authorize(service, &index, &subject, administering(&parent), &parent)?;
        let request_id = identified(&request, &subject, &parent);
        let repeated = service.store.repeated_binding(request_id.as_ref()).await?;
        // It is not decided again: what could be bound then may have expired by now.
        if let Some(repeated) = repeated
            && let Some(repeated) = attempts.end(Ok(repeated)).await?
        {
            break repeated;
        }
        let Wanted {
            principal,
            role,
            expire_time,
            reason,
        } = decode(&request, &index, &parent, now)?;
        check_grantable(service, &index, &subject, &role, &parent, expire_time)?;
        let id = RoleBindingId::new(service.environment.new_uuid());
        let binding = RoleBinding {
            name: RoleBindingName::new(parent.clone(), id),
            principal,
            role,
            created_by: subject.principal.clone(),
            create_time: now,
            expire_time,
            managed_by: None,
        };
        let author = change::author(&subject, now, reason);
        let written = service
            .store
            .create_role_binding(index.revision(), &binding, &author, request_id.as_ref())
            .await;
        if let Some(changed) = attempts.end(written).await? {
            break changed;
        }
    };
    if made {
        let RoleBinding {
            name,
            principal: to,
            role,
            created_by: principal,
            create_time: _,
            expire_time,
            managed_by: _,
        } = &binding;
        let expire_time = expire_time.map(tracing::field::display);
        tracing::info!(%principal, %to, %role, role_binding = %name, expire_time, "role bound");
    }
    Ok(CreateRoleBindingResponse {
        role_binding: Some(encode::role_binding(&binding)),
        policy_revision: revision.0,
    })
}

fn parent(request: &CreateRoleBindingRequest) -> Result<ResourceName, Problem> {
    let mut fields = Fields::new();
    let parent = fields.parse("parent", &request.parent);
    parent.ok_or_else(|| fields.into_problem())
}

/// The request by its id, if it has one. That it is no id is told with all else that is wrong.
fn identified(
    request: &CreateRoleBindingRequest,
    caller: &Subject,
    parent: &ResourceName,
) -> Option<requests::Request> {
    let id = request.request_id.parse().ok()?;
    let method = "CreateRoleBinding";
    let principal = &caller.principal;
    Some(requests::Request::new(
        principal, method, parent, id, request,
    ))
}

/// What a caller asks for.
struct Wanted {
    principal: Principal,
    role: RoleName,
    expire_time: Option<DateTime<Utc>>,
    reason: String,
}

fn decode(
    request: &CreateRoleBindingRequest,
    index: &Index,
    parent: &ResourceName,
    now: DateTime<Utc>,
) -> Result<Wanted, Problem> {
    let CreateRoleBindingRequest {
        parent: _,
        role_binding,
        request_id,
        reason,
    } = request;
    let mut fields = Fields::new();
    let contents = fields
        .required("role_binding", role_binding.as_ref())
        .and_then(|binding| {
            let pb::RoleBinding {
                name: _,
                principal,
                role,
                created_by: _,
                create_time: _,
                expire_time,
                managed_by: _,
            } = binding;
            let principal = decode_principal(&mut fields, principal);
            let role = decode_role(&mut fields, role, index, parent);
            let expire_time = match expire_time {
                None => Some(None),
                Some(time) => convert::time(&mut fields, EXPIRE_TIME, time)
                    .and_then(|time| check_expire_time(&mut fields, time, now))
                    .map(Some),
            };
            Some((principal?, role?, expire_time?))
        });
    let request_id = fields.parse_optional::<RequestId>("request_id", request_id);
    let reason = change::reason(&mut fields, reason);
    match (contents, request_id, reason) {
        (Some((principal, role, expire_time)), Some(_), Some(reason)) => Ok(Wanted {
            principal,
            role,
            expire_time,
            reason,
        }),
        (_, _, _) => Err(fields.into_problem()),
    }
}

fn check_expire_time(
    fields: &mut Fields,
    time: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let latest = now.checked_add_months(LONGEST_LIFETIME);
    fields.check(EXPIRE_TIME, time, |time| {
        if *time <= now {
            Err("must be in the future")
        } else if latest.is_none_or(|latest| *time > latest) {
            Err("must be at most 10 years ahead")
        } else {
            Ok(())
        }
    })
}

fn decode_principal(fields: &mut Fields, text: &str) -> Option<Principal> {
    const FIELD: &str = "role_binding.principal";
    if text.chars().count() > LONGEST_PRINCIPAL {
        fields.violation(FIELD, "must have at most 256 characters");
        return None;
    }
    let principal = fields.parse::<Principal>(FIELD, text)?;
    fields.check(FIELD, principal, |principal| match principal {
        Principal::User(_) | Principal::Group(_) | Principal::ServiceAccount(_) => Ok(()),
        Principal::Service(_) => {
            Err("a service has its permissions by configuration, never by a binding")
        }
    })
}

/// Whether the role fits the resource shows in its name, and is told before whether it exists.
fn decode_role(
    fields: &mut Fields,
    text: &str,
    index: &Index,
    parent: &ResourceName,
) -> Option<RoleName> {
    const FIELD: &str = "role_binding.role";
    let name = fields.parse::<RoleName>(FIELD, text)?;
    let permissions = index
        .role(&name)
        .map_or(PermissionSet::EMPTY, |role| role.permissions);
    fields.check(FIELD, name, |name| {
        check_bindable(name, permissions, parent)
    })
}

fn check_grantable(
    service: &Authorization,
    index: &Index,
    granter: &Subject,
    role: &RoleName,
    resource: &ResourceName,
    expire_time: Option<DateTime<Utc>>,
) -> Result<(), Problem> {
    let role: &IndexedRole = index
        .role(role)
        .ok_or_else(|| Problem::not_found("role", role))?;
    let now = service.environment.now();
    grant_rule::check_role(index, granter, role, resource, now, expire_time)
        .map_err(|error| problems::ungrantable(service, index, granter, &error))
}
