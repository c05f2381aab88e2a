//! GetSigningKeys: the public keys of permits and of service accounts' tokens.

use chassis::problem::Problem;
use proto::authorization::v1::GetSigningKeysResponse;

use super::{Authorization, encode};

#[expect(
    clippy::unnecessary_wraps,
    reason = "it fails like every other handler: not at all, yet"
)]
pub(super) fn handle(service: &Authorization) -> Result<GetSigningKeysResponse, Problem> {
    let keys = service.signing.public_keys();
    Ok(GetSigningKeysResponse {
        keys: keys.iter().map(encode::json_web_key).collect(),
    })
}
