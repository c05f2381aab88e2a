//! ListPermissions: every permission that there is.

use chassis::identity;
use chassis::problem::Problem;
use model::permissions::Permission;
use proto::authorization::v1::{ListPermissionsRequest, ListPermissionsResponse};
use tonic::Request;

use super::asked::Asked;
use super::{Authorization, encode};

pub(super) fn handle(
    service: &Authorization,
    request: &Request<ListPermissionsRequest>,
) -> Result<ListPermissionsResponse, Problem> {
    let caller = identity::caller(request)?;
    let Asked {
        subject: _,
        credential,
        token_id: _,
    } = Asked::caller(&caller, service.environment.now())?;
    // A revoked token is no identity.
    service.policy.remembered(&credential)?;
    let mut permissions = Permission::ALL.to_vec();
    permissions.sort_unstable_by_key(|permission| permission.as_str());
    Ok(ListPermissionsResponse {
        permissions: permissions.into_iter().map(encode::permission).collect(),
    })
}
