//! WhoAmI: the identity that the caller's token carries.

use chassis::convert::timestamp;
use chassis::identity;
use chassis::problem::Problem;
use proto::authorization::v1::{WhoAmIRequest, WhoAmIResponse};
use tonic::Request;

use super::Authorization;
use super::asked::Asked;

pub(super) fn handle(
    service: &Authorization,
    request: &Request<WhoAmIRequest>,
) -> Result<WhoAmIResponse, Problem> {
    let caller = identity::caller(request)?;
    let Asked {
        subject: _,
        credential,
        token_id: _,
    } = Asked::caller(&caller, service.environment.now())?;
    // A revoked token is no identity.
    service.policy.remembered(&credential)?;
    Ok(WhoAmIResponse {
        principal: caller.principal().to_string(),
        groups: caller.groups().iter().map(ToString::to_string).collect(),
        issuer: caller.issuer().to_owned(),
        token_id: caller.token_id().unwrap_or_default().to_owned(),
        expire_time: Some(timestamp(caller.expire_time())),
    })
}
