//! CreateRollback: plans, checks and accepts a rollback, and waits until it is written.
//!
//! The permit is asked for last, and nothing is stored before it: a refusal, or an authorization
//! service that cannot be reached, leaves nothing behind. From the acceptance on the rollback belongs
//! to its driver, and the call only waits.

mod problems;
mod refusal;
mod wanted;

use std::time::Duration;

use chassis::access::{Freshness, judge};
use chassis::fields::Fields;
use chassis::identity::{Caller, caller};
use chassis::problem::Problem;
use model::names::{DeployName, DeploymentName, RollbackId, RollbackName};
use model::permissions::PermissionSet;
use proto::rollback::v1::{self as wire, CreateRollbackRequest, CreateRollbackResponse};
use tokio::time::Instant;
use tonic::{Code, Request};

use self::problems::{in_between, in_progress, refused};
use self::wanted::Wanted;
use super::permission::held_for_plan;
use super::{Api, encode, unfinished};
use crate::clients::authorization::{Bound, FirstPermit};
use crate::clients::failure;
use crate::domain::admission::admit;
use crate::domain::audit::AuditedRequest;
use crate::domain::plan::Plan;
use crate::domain::rollback::{Order, Rollback, State};
use crate::execution::{Driven, Submission};
use crate::planning::Purpose;
use crate::store::{NewRollback, RequestKey, StepTimes};

/// How much longer than a rollback may take the caller waits for how it ended.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn handle(
    service: &Api,
    request: Request<CreateRollbackRequest>,
) -> Result<CreateRollbackResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();

    let mut fields = Fields::new();
    let parent = fields.parse::<DeploymentName>("parent", &request.parent);
    let wanted = wanted::read(&mut fields, parent.as_ref(), request);
    let Some(parent) = parent else {
        return Err(fields.into_problem());
    };

    let freshness = Freshness::FullyConsistent;
    let held = held_for_plan(&service.access, &caller, &parent, freshness).await;
    let (held, wanted) = match (held, wanted) {
        (Ok(held), Some(wanted)) => (held, wanted),
        (Ok(_), None) => return Err(fields.into_problem()),
        // Who may see the Deployment, and no more.
        (Err(problem), Some(wanted))
            if problem.code() == Code::PermissionDenied && !wanted.validate_only =>
        {
            let asked = refusal::asked(&wanted);
            return Err(refusal::record(service, &caller, &parent, asked, problem).await);
        }
        (Err(problem), Some(_) | None) => return Err(problem),
    };

    if let Some(accepted) = accepted_before(service, &caller, &parent, held, &wanted).await? {
        return answer(service, accepted, None, wanted.validate_only).await;
    }
    let mut asked = refusal::asked(&wanted);
    let outcome = create(service, &caller, held, &wanted, &mut asked).await;
    match outcome {
        Ok(Outcome::Accepted(name, driven)) => answer(service, name, Some(driven), false).await,
        Ok(Outcome::Shown(rollback)) => Ok(CreateRollbackResponse {
            rollback: Some(*rollback),
        }),
        // What is in the way may be this very request, sent twice and accepted in between.
        Err(problem) => match accepted_before(service, &caller, &parent, held, &wanted).await? {
            Some(accepted) => answer(service, accepted, None, wanted.validate_only).await,
            None if wanted.validate_only => Err(problem),
            None => Err(refusal::record(service, &caller, &parent, asked, problem).await),
        },
    }
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

/// Creates the rollback. What is known of it on the way, `asked` tells also if it comes to nothing.
async fn create(
    service: &Api,
    caller: &Caller,
    held: PermissionSet,
    wanted: &Wanted,
    asked: &mut AuditedRequest,
) -> Result<Outcome, Problem> {
    let deployment = &wanted.asked.deployment;
    let name = RollbackName::new(
        deployment.clone(),
        RollbackId::new(service.environment.new_uuid()),
    );
    let begin = service.environment.now();
    let plan = service
        .planner
        .plan(caller.principal(), held, &wanted.asked, Purpose::Decide)
        .await?;
    asked.target = Some(plan.target);
    asked.expected_latest = Some(plan.latest);
    asked.permissions = plan.permissions.needed;
    admit(&plan, wanted.plan_digest, &wanted.acknowledged)
        .map_err(|refusal| refused(caller, deployment, refusal))?;
    let (order, revision_digest) = order(caller, wanted, &plan)?;
    if wanted.validate_only {
        let shown = encode::would_be(deployment, order);
        return Ok(Outcome::Shown(Box::new(shown)));
    }
    let planned = StepTimes {
        start: begin,
        end: service.environment.now(),
    };

    let target = DeployName::new(deployment.clone(), plan.target);
    let expected_latest = DeployName::new(deployment.clone(), plan.latest);
    let bound = Bound {
        rollback: &name,
        deployment_uid: plan.deployment_uid,
        target: &target,
        expected_latest: &expected_latest,
        scope: plan.scope,
        permissions: order.permissions,
        hold: order.options.hold,
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
        options: plan.options,
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
            state: State::Failed { error, end_time: _ } | State::Cancelled { error, end_time: _ },
            ..
        } => Err(failure::to_problem(&error)),
        rollback => Ok(CreateRollbackResponse {
            rollback: Some(encode::rollback(rollback)),
        }),
    }
}
