//! Whether a caller may do what it asks this service for.

use chassis::problem::Problem;
use model::names::{Level, ResourceName};
use model::permissions::{Permission, PermissionSet};

use super::Authorization;
use super::asked::Asked;
use crate::decision_log::Question;
use crate::domain::decision::Decision;
use crate::domain::index::Index;
use crate::domain::subject::Subject;

/// Fails unless the caller holds the permission on the resource. To a caller who holds nothing there
/// the resource does not exist; the system exists for everybody.
pub(super) fn authorize(
    service: &Authorization,
    index: &Index,
    caller: &Subject,
    permission: Permission,
    resource: &ResourceName,
) -> Result<(), Problem> {
    let now = service.environment.now();
    let denied = match index.decide(caller, permission, resource, now) {
        Decision::Allowed(_) => return Ok(()),
        Decision::Denied(denied) => denied,
    };
    let question = Question {
        caller: &caller.principal,
        principal: &caller.principal,
        permissions: PermissionSet::of(&[permission]),
        resource,
        policy_revision: Some(index.revision()),
    };
    service.decisions.denied(question, &denied);
    let visible = match resource {
        ResourceName::System => true,
        ResourceName::Workspace(_) | ResourceName::Deployment(_) => {
            !index.held(caller, resource, now).is_empty()
        }
    };
    if visible {
        let missing = PermissionSet::of(&[permission]);
        Err(Problem::permission_missing(
            &caller.principal,
            missing,
            resource,
        ))
    } else {
        Err(Problem::not_found(resource.level().as_str(), resource))
    }
}

/// Refuses those who may not make a change before they wait for their turn to make it: a storm of
/// their calls must not keep anybody from taking a role away.
///
/// It only spares others the wait. Who passes is authorized again when it is their turn.
pub(super) async fn admit(
    service: &Authorization,
    asked: &Asked,
    permission: Permission,
    resource: &ResourceName,
) -> Result<(), Problem> {
    let Asked {
        subject,
        credential,
        token_id: _,
    } = asked;
    let now = service.environment.now();
    if let Ok(index) = service.policy.remembered(credential)
        && let Decision::Allowed(_) = index.decide(subject, permission, resource, now)
    {
        return Ok(());
    }
    let index = service.policy.newest(credential).await?;
    authorize(service, &index, subject, permission, resource)
}

/// What it takes to administer the roles of a resource.
pub(super) fn administering(resource: &ResourceName) -> Permission {
    match resource.level() {
        Level::System => Permission::SystemIamUpdate,
        Level::Workspace => Permission::WorkspaceIamUpdate,
        Level::Deployment => Permission::DeploymentUserRolesUpdate,
    }
}
