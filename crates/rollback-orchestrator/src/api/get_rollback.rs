//! GetRollback: the record of a rollback, however it ended.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::problem::Problem;
use model::names::RollbackName;
use proto::rollback::v1::{GetRollbackRequest, GetRollbackResponse};
use tonic::Request;

use super::permission::{NEEDED, VISIBLE_BY};
use super::{Api, encode};

pub(super) async fn handle(
    service: &Api,
    request: Request<GetRollbackRequest>,
) -> Result<GetRollbackResponse, Problem> {
    let caller = caller(&request)?;
    let GetRollbackRequest { name } = request.into_inner();

    let mut fields = Fields::new();
    let Some(name) = fields.parse::<RollbackName>("name", &name) else {
        return Err(fields.into_problem());
    };

    let resource = name.deployment().clone().into();
    let freshness = Freshness::MinimizeLatency;
    service
        .access
        .require(&caller, &resource, NEEDED, VISIBLE_BY, freshness)
        .await?;

    let rollback = service.store.rollback(&name).await?;
    let rollback = rollback.ok_or_else(|| Problem::not_found("rollback", &name))?;
    Ok(GetRollbackResponse {
        rollback: Some(encode::rollback(rollback)),
    })
}
