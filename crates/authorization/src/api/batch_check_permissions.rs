//! BatchCheckPermissions: many questions about one person, at one policy revision.

use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use model::names::ResourceName;
use model::permissions::{Permission, PermissionSet};
use prost::Message;
use proto::authorization::v1::permission_result::Result as Answer;
use proto::authorization::v1::{
    BatchCheckPermissionsRequest, BatchCheckPermissionsResponse, PermissionQuestion,
    PermissionResult,
};
use tonic::{Request, Status};

use super::consistency::Freshness;
use super::who::{Who, WhoFields};
use super::{Authorization, encode};
use crate::decision_log::Question;
use crate::domain::decision::Decision;
use crate::domain::index::Standing;

const MOST_QUESTIONS: usize = 1_000;

/// More questions than one call can be about are there to filter a list: what they deny is no
/// denial of a call, and does not stand in the log of decisions.
const MOST_QUESTIONS_OF_A_CALL: usize = 16;

pub(super) async fn handle(
    service: &Authorization,
    request: Request<BatchCheckPermissionsRequest>,
) -> Result<BatchCheckPermissionsResponse, Problem> {
    let caller = identity::caller(&request)?;
    let BatchCheckPermissionsRequest {
        questions,
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
    let questions = fields.check("questions", questions, |questions| {
        let number = questions.len();
        (1..=MOST_QUESTIONS)
            .contains(&number)
            .then_some(())
            .ok_or("must have 1 to 1,000 entries")
    });
    let freshness = Freshness::read(&mut fields, consistency);
    let (Some(subject), Some(questions), Some(freshness)) = (who.subject(), questions, freshness)
    else {
        return Err(fields.into_problem());
    };
    fields.finish()?;

    let index = freshness.of(&service.policy, &who.credential).await?;
    let standing = index.standing(subject, service.environment.now());
    let filters = questions.len() > MOST_QUESTIONS_OF_A_CALL;
    let tell = |permission, resource: &ResourceName, decision: &Decision| {
        if !filters {
            let question = Question {
                caller: caller.principal(),
                principal: &subject.principal,
                permissions: PermissionSet::of(&[permission]),
                resource,
                policy_revision: Some(index.revision()),
            };
            service.decisions.checked(question, decision);
        }
    };
    let may_ask = |resource: &ResourceName| who.authorize(service, &index, resource);
    let results = questions
        .iter()
        .map(|question| result(question, &standing, may_ask, tell));
    Ok(BatchCheckPermissionsResponse {
        results: results.collect(),
        principal: subject.principal.to_string(),
        policy_revision: index.revision().0,
    })
}

fn result(
    question: &PermissionQuestion,
    standing: &Standing<'_>,
    may_ask: impl Fn(&ResourceName) -> Result<(), Problem>,
    tell: impl Fn(Permission, &ResourceName, &Decision),
) -> PermissionResult {
    let answer = match decode(question, may_ask) {
        Ok((permission, resource)) => {
            let decision = standing.decide(permission, &resource);
            tell(permission, &resource, &decision);
            Answer::Decision(encode::decision(&decision))
        }
        Err(problem) => Answer::Error(status(problem)),
    };
    PermissionResult {
        result: Some(answer),
    }
}

fn decode(
    question: &PermissionQuestion,
    may_ask: impl Fn(&ResourceName) -> Result<(), Problem>,
) -> Result<(Permission, ResourceName), Problem> {
    let PermissionQuestion {
        permission,
        resource,
    } = question;
    let mut fields = Fields::new();
    let permission = fields.parse::<Permission>("permission", permission);
    let resource = fields.parse::<ResourceName>("resource", resource);
    if let Some(resource) = &resource {
        may_ask(resource)?;
    }
    match (permission, resource) {
        (Some(permission), Some(resource)) => Ok((permission, resource)),
        (_, _) => Err(fields.into_problem()),
    }
}

/// The `google.rpc.Status` that a call would have failed with.
fn status(problem: Problem) -> tonic_types::Status {
    let status = Status::from(problem);
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
