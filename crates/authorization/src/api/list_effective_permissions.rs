//! ListEffectivePermissions: everything that somebody holds on a resource, and by what.

use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use model::names::ResourceName;
use proto::authorization::v1::{
    EffectivePermission, ListEffectivePermissionsRequest, ListEffectivePermissionsResponse,
};
use tonic::Request;

use super::consistency::Freshness;
use super::who::{Who, WhoFields};
use super::{Authorization, encode};
use crate::domain::decision::Decision;

pub(super) async fn handle(
    service: &Authorization,
    request: Request<ListEffectivePermissionsRequest>,
) -> Result<ListEffectivePermissionsResponse, Problem> {
    let caller = identity::caller(&request)?;
    let ListEffectivePermissionsRequest {
        resource,
        subject_token,
        principal,
        groups,
        consistency,
    } = request.into_inner();
    let mut fields = Fields::new();
    let about = WhoFields {
        subject_token,
        principal,
        groups,
    };
    let who = Who::read(service, &caller, &mut fields, about).await?;
    let resource = fields.parse::<ResourceName>("resource", &resource);
    let freshness = Freshness::read(&mut fields, consistency);
    let index = freshness
        .unwrap_or(Freshness::FromMemory)
        .of(&service.policy, &who.credential)
        .await?;
    if let Some(resource) = &resource {
        who.authorize(service, &index, resource)?;
    }
    let (Some(subject), Some(resource), Some(_)) = (who.subject(), resource, freshness) else {
        return Err(fields.into_problem());
    };
    fields.finish()?;

    let standing = index.standing(subject, service.environment.now());
    let mut held = standing.held(&resource).iter().collect::<Vec<_>>();
    held.sort_unstable_by_key(|permission| permission.as_str());
    let permissions = held.into_iter().filter_map(|permission| {
        let granted_by = match standing.decide(permission, &resource) {
            Decision::Allowed(granted) => encode::grant(&granted),
            Decision::Denied(_) => return None,
        };
        Some(EffectivePermission {
            permission: permission.to_string(),
            granted_by: Some(granted_by),
        })
    });
    Ok(ListEffectivePermissionsResponse {
        permissions: permissions.collect(),
        principal: subject.principal.to_string(),
        policy_revision: index.revision().0,
    })
}
