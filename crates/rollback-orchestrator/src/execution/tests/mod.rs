//! Drivers against a store on both databases, between services that fail as they are told.

mod cancelling;
mod closing;
mod crashes;
mod following;
mod replicas;
mod writing;

use chassis::testing::TestDatabase;
use chrono::TimeDelta;
use proto::common::v1::ErrorReason;
use tonic::{Code, Status};

use super::*;
use crate::clients::failure;
use crate::domain::rollback::{State, StepKind};
use crate::domain::samples::number;
use crate::store::Job;
use crate::testing::{Act, Bench, SOON, eventually, new_rollback, patience, refusal};

fn lease_of(duration: TimeDelta) -> Lease {
    Lease {
        duration,
        ..patience().lease
    }
}

/// Leases that are over at once, for replicas that die.
fn hasty() -> Patience {
    Patience {
        lease: lease_of(TimeDelta::milliseconds(-1)),
        ..patience()
    }
}

async fn bench(db: &TestDatabase) -> Bench {
    Bench::new(Store::new(db.database.clone())).await
}

fn permit() -> Permit {
    Permit("first".to_owned())
}

/// Accepts a rollback and carries it out; returns how it ended.
async fn carried_out(execution: &Execution, new: NewRollback) -> Rollback {
    let name = new.name.clone();
    let driven = driven(execution.submit(new, permit())).await;
    let ended = execution
        .ended(&name, Some(driven), Instant::now() + SOON)
        .await;
    ended.unwrap().unwrap()
}

async fn driven(
    submission: oneshot::Receiver<Result<Submission, store::Error>>,
) -> oneshot::Receiver<()> {
    match submission.await.unwrap().unwrap() {
        Submission::Accepted(driven) => driven,
        other @ (Submission::Repeated | Submission::InProgress(_)) => panic!("{other:?}"),
    }
}

async fn accepted(bench: &Bench, new: &NewRollback, lease: &Lease) -> Job {
    match bench
        .store
        .accept(new, lease, Environment::system().now())
        .await
        .unwrap()
    {
        Acceptance::Accepted(job) => *job,
        other @ (Acceptance::Repeated | Acceptance::InProgress(_)) => panic!("{other:?}"),
    }
}

async fn ended(bench: &Bench, name: &RollbackName) -> Rollback {
    eventually(async || {
        bench
            .store
            .rollback(name)
            .await
            .unwrap()
            .filter(Rollback::has_ended)
    })
    .await
}

fn reason(rollback: &Rollback) -> ErrorReason {
    match &rollback.state {
        State::Failed { error, end_time: _ } => failure::to_problem(error).reason(),
        State::Cancelled { error, end_time: _ } => failure::to_problem(error).reason(),
        other @ (State::Pending | State::Running | State::Succeeded { .. }) => panic!("{other:?}"),
    }
}

fn is_written(rollback: &Rollback) -> bool {
    matches!(rollback.state, State::Succeeded { deploy, .. } if deploy == number(6))
}

fn attempts(rollback: &Rollback, kind: StepKind) -> i32 {
    let step = rollback.steps.iter().find(|step| step.kind == kind);
    step.map_or(0, |step| step.attempts)
}

/// A deadline that passes in a test, but not before the first attempt, however busy the machine is.
const fn short() -> TimeDelta {
    TimeDelta::seconds(2)
}

fn long() -> TimeDelta {
    patience().write_within
}
