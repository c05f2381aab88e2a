//! Reading the request of CreateRollback.

use chassis::fields::Fields;
use model::names::{DeploymentName, RequestId};
use prost::Message;
use proto::rollback::v1::{self as wire, CreateRollbackRequest};
use sha2::{Digest, Sha256};

use crate::api::encode;
use crate::api::target::{self, Said};
use crate::domain::digest::PlanDigest;
use crate::domain::options::Options;
use crate::domain::target::Asked;
use crate::domain::warning::WarningCode;
use crate::store::RequestKey;

const LONGEST_DESCRIPTION: usize = 500;

/// There are fewer codes than that.
const MOST_ACKNOWLEDGED: usize = 50;

/// What the caller wants.
pub(super) struct Wanted {
    pub(super) asked: Asked,
    pub(super) description: String,
    pub(super) plan_digest: Option<PlanDigest>,
    pub(super) acknowledged: Vec<WarningCode>,
    pub(super) request: Option<RequestKey>,
    pub(super) validate_only: bool,
}

/// Reads everything but the parent, and notes all that is wrong with it.
pub(super) fn read(
    fields: &mut Fields,
    parent: Option<&DeploymentName>,
    request: CreateRollbackRequest,
) -> Option<Wanted> {
    // The same request, for real and as a trial, is the same request; and an id has two spellings.
    let body = CreateRollbackRequest {
        validate_only: false,
        request_id: String::new(),
        ..request.clone()
    };
    let CreateRollbackRequest {
        parent: _,
        scope,
        description,
        request_id,
        validate_only,
        plan_digest,
        acknowledged_warnings,
        target,
        hold,
        allow_marked_bad,
    } = request;
    let read = target::read(fields, parent, target.map(Said::from), scope);
    let description = fields.required_text("description", description, LONGEST_DESCRIPTION);
    let request_id = fields.parse_optional::<RequestId>("request_id", &request_id);
    let plan_digest = fields
        .check("plan_digest", plan_digest, |text| {
            match text.parse::<PlanDigest>() {
                Err(_) if !text.is_empty() => Err("is no digest of a plan"),
                Ok(_) | Err(_) => Ok(()),
            }
        })
        .map(|text| text.parse().ok());
    let acknowledged = acknowledged(fields, &acknowledged_warnings);

    let (aim, scope) = read?;
    let request = request_id?.map(|id| RequestKey {
        id,
        body: Sha256::digest(body.encode_to_vec()).into(),
    });
    let asked = Asked {
        deployment: parent?.clone(),
        aim,
        scope,
        options: Options {
            hold,
            allow_marked_bad,
        },
    };
    Some(Wanted {
        asked,
        description: description?,
        plan_digest: plan_digest?,
        acknowledged: acknowledged?,
        request,
        validate_only,
    })
}

/// The codes, in order and each once.
fn acknowledged(fields: &mut Fields, codes: &[i32]) -> Option<Vec<WarningCode>> {
    if codes.len() > MOST_ACKNOWLEDGED {
        let most = format!("must have at most {MOST_ACKNOWLEDGED} entries");
        fields.violation("acknowledged_warnings", &most);
        return None;
    }
    let mut read = Vec::new();
    let mut all = true;
    for (index, code) in codes.iter().enumerate() {
        match wire::WarningCode::try_from(*code)
            .ok()
            .and_then(encode::warning_code_from_proto)
        {
            Some(code) => read.push(code),
            None => {
                let field = format!("acknowledged_warnings[{index}]");
                fields.violation(&field, "is no code of a warning");
                all = false;
            }
        }
    }
    read.sort_unstable();
    read.dedup();
    all.then_some(read)
}
