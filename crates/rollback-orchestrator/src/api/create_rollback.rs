//! CreateRollback: plans, checks and accepts a rollback, and waits until it is written.
//!
//! The permit is asked for last, and nothing is stored before it: a refusal, or an authorization
//! service that cannot be reached, leaves nothing behind. From the acceptance on the rollback belongs
//! to its driver, and the call only waits.

use std::time::Duration;

use chassis::access::{Freshness, judge};
use chassis::fields::Fields;
use chassis::identity::{Caller, caller};
use chassis::problem::{Problem, comma_separated};
use model::names::{DeployName, DeploymentName, RequestId, RollbackId, RollbackName};
use model::permissions::PermissionSet;
use prost::Message;
use proto::common::v1::ErrorReason;
use proto::rollback::v1::create_rollback_request::Target;
use proto::rollback::v1::{self as wire, CreateRollbackRequest, CreateRollbackResponse};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tonic::{Code, Request};

use super::permission::held_for_plan;
use super::target::{self, Asked};
use super::{Api, encode};
use crate::clients::authorization::{Bound, FirstPermit};
use crate::clients::failure;
use crate::domain::admission::{Refusal, admit};
use crate::domain::digest::PlanDigest;
use crate::domain::plan::Plan;
use crate::domain::rollback::{Order, Rollback, State};
use crate::domain::warning::WarningCode;
use crate::execution::{Driven, Submission};
use crate::planning::Purpose;
use crate::store::{NewRollback, RequestKey, StepTimes};

const LONGEST_DESCRIPTION: usize = 500;

/// There are fewer codes than that.
const MOST_ACKNOWLEDGED: usize = 50;

/// How much longer than a rollback may take the caller waits for how it ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the caller wants.
struct Wanted {
    target: DeployName,
    scope: model::deploys::Scope,
    description: String,
    plan_digest: Option<PlanDigest>,
    acknowledged: Vec<WarningCode>,
    request: Option<RequestKey>,
    validate_only: bool,
}

pub(super) async fn handle(
    service: &Api,
    request: Request<CreateRollbackRequest>,
) -> Result<CreateRollbackResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();

    let mut fields = Fields::new();
    let parent = fields.parse::<DeploymentName>("parent", &request.parent);
    let wanted = read(&mut fields, parent.as_ref(), request);
    let Some(parent) = parent else {
        return Err(fields.into_problem());
    };

    let freshness = Freshness::FullyConsistent;
    let held = held_for_plan(&service.access, &caller, &parent, freshness).await?;
    let Some(wanted) = wanted else {
        return Err(fields.into_problem());
    };

    if let Some(accepted) = accepted_before(service, &caller, &parent, held, &wanted).await? {
        return answer(service, accepted, None, wanted.validate_only).await;
    }
    let outcome = create(service, &caller, held, &wanted).await;
    match outcome {
        Ok(Outcome::Accepted(name, driven)) => answer(service, name, Some(driven), false).await,
        Ok(Outcome::Shown(rollback)) => Ok(CreateRollbackResponse {
            rollback: Some(*rollback),
        }),
        // What is in the way may be this very request, sent twice and accepted in between.
        Err(problem) => match accepted_before(service, &caller, &parent, held, &wanted).await? {
            Some(accepted) => answer(service, accepted, None, wanted.validate_only).await,
            None => Err(problem),
        },
    }
}

/// Reads everything but the parent, and notes all that is wrong with it.
fn read(
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
    } = request;
    let target = target.map(|Target::TargetDeploy(name)| name);
    let asked = target::read(fields, parent, target.as_deref(), scope);
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

    let Asked { target, scope } = asked?;
    let request = request_id?.map(|id| RequestKey {
        id,
        body: Sha256::digest(body.encode_to_vec()).into(),
    });
    Some(Wanted {
        target,
        scope,
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

/// The rollback that this request was accepted as before.
async fn accepted_before(
    service: &Api,
    caller: &Caller,
    parent: &DeploymentName,
    held: PermissionSet,
    wanted: &Wanted,
) -> Result<Option<RollbackName>, Problem> {
    let Some(RequestKey { id, body }) = &wanted.request else {
        return Ok(None);
    };
    let found = service
        .store
        .rollback_of_request(caller.principal(), parent, *id)
        .await?;
    let Some(found) = found else { return Ok(None) };
    if found.request_body != *body {
        return Err(Problem::request_id_reused(id));
    }
    judge(
        caller,
        &parent.clone().into(),
        found.rollback.order.permissions,
        held,
    )?;
    Ok(Some(found.rollback.name))
}

/// What became of a request that is not a repetition.
enum Outcome {
    /// There is a rollback now.
    Accepted(RollbackName, Driven),
    /// Nothing was to be started.
    Shown(Box<wire::Rollback>),
}

async fn create(
    service: &Api,
    caller: &Caller,
    held: PermissionSet,
    wanted: &Wanted,
) -> Result<Outcome, Problem> {
    let name = RollbackName::new(
        wanted.target.deployment().clone(),
        RollbackId::new(service.environment.new_uuid()),
    );
    let begin = service.environment.now();
    let plan = service
        .planner
        .plan(
            caller.principal(),
            held,
            &wanted.target,
            wanted.scope,
            Purpose::Decide,
        )
        .await?;
    admit(&plan, wanted.plan_digest, &wanted.acknowledged)
        .map_err(|refusal| refused(caller, wanted.target.deployment(), refusal))?;
    let (order, revision_digest) = order(caller, wanted, &plan)?;
    if wanted.validate_only {
        return Ok(Outcome::Shown(Box::new(encode::would_be(
            wanted.target.deployment(),
            order,
        ))));
    }
    let planned = StepTimes {
        start: begin,
        end: service.environment.now(),
    };

    let expected_latest = DeployName::new(plan.deployment.clone(), plan.latest);
    let bound = Bound {
        rollback: &name,
        deployment_uid: plan.deployment_uid,
        target: &wanted.target,
        expected_latest: &expected_latest,
        scope: plan.scope,
        permissions: order.permissions,
        revision_digest,
        plan_digest: plan.digest,
    };
    let FirstPermit {
        permit,
        grant_expire_time,
    } = service.authorization.issue(caller, bound).await?;
    let authorized = StepTimes {
        start: planned.end,
        end: service.environment.now(),
    };

    let new = NewRollback {
        name: name.clone(),
        order,
        request: wanted.request.clone(),
        write_within: service.execution.write_within(),
        grant_expire_time,
        planned,
        authorized,
    };
    match service.execution.submit(new, permit).await {
        Ok(Ok(Submission::Accepted(driven))) => Ok(Outcome::Accepted(name, driven)),
        Ok(Ok(Submission::Repeated)) => Err(in_between()),
        Ok(Ok(Submission::InProgress(rollback))) => Err(in_progress(&rollback)),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Problem::internal("the driver of the rollback broke")),
    }
}

/// What is carried out, and the digest of the revision that it leads to.
fn order<'a>(
    caller: &Caller,
    wanted: &Wanted,
    plan: &'a Plan,
) -> Result<(Order, &'a str), Problem> {
    let (Some(replaced), Some(composed)) = (plan.current, &plan.composed) else {
        return Err(Problem::internal(
            "a plan that nothing blocks leads nowhere",
        ));
    };
    let order = Order {
        deployment_uid: plan.deployment_uid,
        target: plan.target,
        expected_latest: plan.latest,
        replaced,
        scope: plan.scope,
        description: wanted.description.clone(),
        permissions: plan.permissions.needed,
        plan_digest: plan.digest,
        acknowledged: wanted.acknowledged.clone(),
        created_by: caller.principal().clone(),
    };
    Ok((order, &composed.digest))
}

/// How the rollback ended, once it has.
async fn answer(
    service: &Api,
    name: RollbackName,
    driven: Option<Driven>,
    validate_only: bool,
) -> Result<CreateRollbackResponse, Problem> {
    let within = service
        .execution
        .write_within()
        .to_std()
        .unwrap_or_default();
    let until = if validate_only {
        Instant::now()
    } else {
        Instant::now() + within + PATIENCE
    };
    let Some(rollback) = service.execution.ended(&name, driven, until).await? else {
        return Err(unfinished(&name));
    };
    match rollback {
        Rollback {
            state: State::Failed { error, end_time: _ },
            ..
        } => Err(failure::to_problem(&error)),
        rollback => Ok(CreateRollbackResponse {
            rollback: Some(encode::rollback(rollback)),
        }),
    }
}

/// What a caller is told whose rollback is not carried out.
fn refused(caller: &Caller, deployment: &DeploymentName, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::PermissionMissing {
            missing,
            open_scopes,
        } => Problem::permission_missing(caller.principal(), missing, deployment)
            .with("open_scopes", comma_separated(open_scopes)),
        Refusal::PlanChanged(digest) => Problem::new(
            Code::Aborted,
            ErrorReason::PlanChanged,
            "what would happen now is not what was agreed to: plan again, and look again",
        )
        .with("plan_digest", digest),
        Refusal::InProgress(rollback) => in_progress(&rollback),
        Refusal::Blocked(blockers) => {
            let texts = blockers.iter().map(|blocker| blocker.text.as_str());
            let message = format!(
                "the rollback cannot be done: {}",
                texts.collect::<Vec<_>>().join("; ")
            );
            let codes = comma_separated(blockers.iter().map(|blocker| blocker.code));
            let problem = Problem::new(
                Code::FailedPrecondition,
                ErrorReason::RollbackBlocked,
                message,
            )
            .with("blockers", codes);
            blockers.iter().fold(problem, |problem, blocker| {
                problem.with_precondition(blocker.code.as_str(), &blocker.subject, &blocker.text)
            })
        }
        Refusal::NotAcknowledged(warnings) => {
            let codes = comma_separated(warnings);
            let message = format!(
                "read these warnings in the plan, then send them in acknowledged_warnings: {codes}"
            );
            Problem::new(
                Code::FailedPrecondition,
                ErrorReason::WarningsNotAcknowledged,
                message,
            )
            .with("warnings", codes)
        }
    }
}

fn in_progress(rollback: &RollbackName) -> Problem {
    Problem::new(
        Code::Aborted,
        ErrorReason::RollbackInProgress,
        format!("{rollback} is accepted and not written yet: wait for it, then plan again"),
    )
    .with("rollback", rollback)
}

fn unfinished(rollback: &RollbackName) -> Problem {
    Problem::new(
        Code::Unavailable,
        ErrorReason::RollbackUnfinished,
        format!("{rollback} is accepted and goes on by itself: read it with GetRollback"),
    )
    .with("rollback", rollback)
    .retry_after(Duration::from_secs(1))
}

/// The same request was accepted between the look and the insert: the caller looks again.
fn in_between() -> Problem {
    Problem::internal("a repeated request was accepted and cannot be found")
}
