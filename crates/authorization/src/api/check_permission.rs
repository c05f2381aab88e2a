//! CheckPermission: whether somebody holds a permission on a resource, and why.

use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use model::names::ResourceName;
use model::permissions::{Permission, PermissionSet};
use proto::authorization::v1::{CheckPermissionRequest, CheckPermissionResponse};
use tonic::Request;

use super::consistency::Freshness;
use super::who::{Who, WhoFields};
use super::{Authorization, encode};
use crate::decision_log::Question;

pub(super) async fn handle(
    service: &Authorization,
    request: Request<CheckPermissionRequest>,
) -> Result<CheckPermissionResponse, Problem> {
    let caller = identity::caller(&request)?;
    let CheckPermissionRequest {
        permission,
        resource,
        subject_token,
        consistency,
        principal,
        groups,
    } = request.into_inner();
    let mut fields = Fields::new();
    let about = WhoFields {
        subject_token,
        principal,
        groups,
    };
    let who = Who::read(service, &caller, &mut fields, about).await?;
    let permission = fields.parse::<Permission>("permission", &permission);
    let resource = fields.parse::<ResourceName>("resource", &resource);
    let freshness = Freshness::read(&mut fields, consistency);
    let index = freshness
        .unwrap_or(Freshness::FromMemory)
        .of(&service.policy, &who.credential)
        .await?;
    if let Some(resource) = &resource {
        who.authorize(service, &index, resource)?;
    }
    let (Some(subject), Some(permission), Some(resource), Some(_)) =
        (who.subject(), permission, resource, freshness)
    else {
        return Err(fields.into_problem());
    };
    fields.finish()?;

    let decision = index.decide(subject, permission, &resource, service.environment.now());
    let question = Question {
        caller: caller.principal(),
        principal: &subject.principal,
        permissions: PermissionSet::of(&[permission]),
        resource: &resource,
        policy_revision: Some(index.revision()),
    };
    service.decisions.checked(question, &decision);
    Ok(CheckPermissionResponse {
        decision: Some(encode::decision(&decision)),
        principal: subject.principal.to_string(),
        policy_revision: index.revision().0,
    })
}
