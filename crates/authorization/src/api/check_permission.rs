//! CheckPermission: whether somebody holds a permission on a resource, and why.

use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use model::names::ResourceName;
use model::permissions::{Permission, PermissionSet};
use proto::authorization::v1::{CheckPermissionRequest, CheckPermissionResponse};
use tonic::Request;

use super::asked::Asked;
use super::consistency::Freshness;
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
        principal: _,
        groups: _,
    } = request.into_inner();
    let Asked {
        subject,
        credential,
        token_id: _,
    } = Asked::person_or_caller(service, &caller, &subject_token)?;

    let mut fields = Fields::new();
    let permission = fields.parse::<Permission>("permission", &permission);
    let resource = fields.parse::<ResourceName>("resource", &resource);
    let freshness = Freshness::read(&mut fields, consistency);
    let (Some(permission), Some(resource), Some(freshness)) = (permission, resource, freshness)
    else {
        return Err(fields.into_problem());
    };

    let index = freshness.of(&service.policy, &credential).await?;
    let decision = index.decide(&subject, permission, &resource, service.environment.now());
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
