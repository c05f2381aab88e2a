//! UpdateRole: changes a custom role, and so what everybody has to whom it is bound.

use chassis::fields::Fields;
use chassis::identity;
use chassis::mask::Mask;
use chassis::problem::Problem;
use chassis::requests;
use model::names::{RequestId, ResourceName, RoleName};
use model::permissions::PermissionSet;
use proto::authorization::v1::{self as pb, UpdateRoleRequest, UpdateRoleResponse};
use tonic::Request;

use super::asked::Asked;
use super::authorize::{administering, admit, authorize};
use super::change::{self, Attempts};
use super::{Authorization, encode, problems, role_fields};
use crate::domain::grant_rule;
use crate::domain::index::Index;
use crate::domain::policy::{Role, check_bindable};
use crate::domain::policy_change::Author;
use crate::domain::subject::Subject;
use crate::store::{Changed, Error};

/// What of a role can be changed.
const CHANGEABLE: [&str; 3] = ["display_name", "description", "permissions"];

pub(super) async fn handle(
    service: &Authorization,
    request: Request<UpdateRoleRequest>,
) -> Result<UpdateRoleResponse, Problem> {
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
        value: role,
        revision,
        made,
    } = loop {
        let index = attempts.policy().await?;
        authorize(service, &index, &subject, administering(&parent), &parent)?;
        if name.system_role().is_some() {
            return Err(problems::role_built_in(&name));
        }
        let Wanted {
            update,
            etag,
            request_id,
            reason,
        } = decode(&request, &parent)?;
        let author = change::author(&subject, now, reason);
        let request_id = request_id.map(|id| {
            requests::Request::new(&subject.principal, "UpdateRole", &name, id, &request)
        });
        let written = match service.store.repeated_update(request_id.as_ref()).await? {
            Some(repeated) => Ok(repeated),
            None => {
                let before = service.store.role(&name).await?;
                let before = before.ok_or_else(|| Error::NoSuchRole(name.clone()))?;
                problems::check_etag(&before, &etag)?;
                let after = update.of(&before, &author);
                check(service, &index, &subject, &after).await?;
                service
                    .store
                    .update_role(
                        index.revision(),
                        &before,
                        &after,
                        &author,
                        request_id.as_ref(),
                    )
                    .await
            }
        };
        if let Some(changed) = attempts.end(written).await? {
            break changed;
        }
    };
    if made {
        let principal = &subject.principal;
        tracing::info!(%principal, role = %role.name, permissions = %role.permissions, "role changed");
    }
    Ok(UpdateRoleResponse {
        role: Some(encode::role(&role)),
        policy_revision: revision.0,
    })
}

/// Whether the updater may make the role be like this, and it has a meaning wherever it is bound.
async fn check(
    service: &Authorization,
    index: &Index,
    updater: &Subject,
    after: &Role,
) -> Result<(), Problem> {
    let now = service.environment.now();
    let gained = grant_rule::gained(index.role(&after.name), after.permissions);
    grant_rule::check_permissions(index, updater, gained, &after.name.parent(), now, None)
        .map_err(|error| problems::ungrantable(service, index, updater, &error))?;
    let Some(widest) = gained.iter().map(|permission| permission.level()).min() else {
        return Ok(());
    };
    let narrower = service
        .store
        .binding_narrower_than(widest, &after.name, now);
    let Some(binding) = narrower.await? else {
        return Ok(());
    };
    check_bindable(&after.name, gained, &binding.name.parent())
        .map_err(|error| problems::role_too_wide(&binding, &error))
}

fn name(request: &UpdateRoleRequest) -> Result<RoleName, Problem> {
    let mut fields = Fields::new();
    fields
        .required("role", request.role.as_ref())
        .and_then(|role| fields.parse("role.name", &role.name))
        .ok_or_else(|| fields.into_problem())
}

/// What a caller asks for.
struct Wanted {
    update: Update,
    etag: String,
    request_id: Option<RequestId>,
    reason: String,
}

/// What shall be different.
#[derive(Default)]
struct Update {
    display_name: Option<String>,
    description: Option<String>,
    permissions: Option<PermissionSet>,
}

impl Update {
    /// The role afterwards: the same, if nothing is different.
    fn of(self, before: &Role, author: &Author) -> Role {
        let Self {
            display_name,
            description,
            permissions,
        } = self;
        let mut after = before.clone();
        if let Some(display_name) = display_name {
            after.display_name = display_name;
        }
        if let Some(description) = description {
            after.description = description;
        }
        if let Some(permissions) = permissions {
            after.permissions = permissions;
        }
        if after != *before {
            after.updated_by = author.principal.clone();
            after.update_time = author.time;
        }
        after
    }
}

fn decode(request: &UpdateRoleRequest, parent: &ResourceName) -> Result<Wanted, Problem> {
    let UpdateRoleRequest {
        role,
        update_mask,
        request_id,
        reason,
    } = request;
    let role = role.clone().unwrap_or_default();
    let mut fields = Fields::new();
    let mask = Mask::read(&mut fields, update_mask.clone(), &CHANGEABLE);
    let pb::Role {
        name: _,
        display_name,
        description,
        permissions,
        created_by: _,
        create_time: _,
        etag,
        update_time: _,
        updated_by: _,
        managed_by: _,
        added_permissions: _,
        removed_permissions: _,
    } = role;
    let mut update = Update::default();
    if mask.has("display_name", display_name.is_empty()) {
        update.display_name = role_fields::display_name(&mut fields, display_name);
    }
    if mask.has("description", description.is_empty()) {
        update.description = role_fields::description(&mut fields, description);
    }
    if mask.has("permissions", permissions.is_empty()) {
        update.permissions = role_fields::permissions(&mut fields, &permissions, parent);
    }
    let request_id = fields.parse_optional::<RequestId>("request_id", request_id);
    let reason = change::reason(&mut fields, reason);
    let (Some(request_id), Some(reason)) = (request_id, reason) else {
        return Err(fields.into_problem());
    };
    fields.finish()?;
    Ok(Wanted {
        update,
        etag,
        request_id,
        reason,
    })
}
