//! Every method of the store on both databases.

mod acceptance;
mod audit;
mod cancelling;
mod following;
mod leases;
mod lists;
mod progress;
mod refusals;
mod replay;
mod upgrade;

use chassis::environment::Environment;
use chassis::testing::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use model::deploys::Scope;
use model::names::{Principal, RequestId, RollbackId, RollbackName};
use uuid::Uuid;

use super::*;
use crate::domain::history::DeploymentUid;
use crate::domain::options::Options;
use crate::domain::rollback::{
    Closing, Ending, Looks, Order, RollOut, RollOutEnd, Rollback, StoredError, WrittenDeploy,
};
use crate::domain::samples::{all_push, number};
use crate::domain::warning::WarningCode;

const LONG: TimeDelta = TimeDelta::seconds(60);

/// Roll-outs that have to be looked at at once, and for long.
const FOLLOW: Follow = Follow {
    within: LONG,
    looks: Looks {
        first: TimeDelta::zero(),
        longest: TimeDelta::zero(),
    },
};

/// A lease that has expired once it is given.
const GONE: TimeDelta = TimeDelta::seconds(-1);

fn store(db: &TestDatabase) -> Store {
    Store::new(db.database.clone())
}

fn now() -> DateTime<Utc> {
    Environment::system().now()
}

fn new_id() -> Uuid {
    Environment::system().new_uuid()
}

fn lease(duration: TimeDelta) -> Lease {
    Lease {
        owner: new_id(),
        duration,
    }
}

fn name(deployment: u128) -> RollbackName {
    let deployment = format!("workspaces/w/deployments/d{deployment}")
        .parse()
        .unwrap();
    RollbackName::new(deployment, RollbackId::new(new_id()))
}

fn request(id: u128) -> RequestKey {
    RequestKey {
        id: Uuid::from_u128(id)
            .to_string()
            .parse::<RequestId>()
            .unwrap(),
        body: [7; 32],
    }
}

fn error(text: &str) -> StoredError {
    StoredError(text.as_bytes().to_vec())
}

/// A rollback of the Deployment with that number.
fn new(deployment: u128) -> NewRollback {
    let start = now();
    NewRollback {
        name: name(deployment),
        order: Order {
            deployment_uid: DeploymentUid(Uuid::from_u128(deployment)),
            target: number(3),
            expected_latest: number(6),
            replaced: number(5),
            scope: Scope::Dags,
            options: Options {
                hold: true,
                allow_marked_bad: false,
            },
            description: "the orders of today are missing\nsee the ticket, \u{1f525}".to_owned(),
            permissions: all_push(),
            plan_digest: "ab".repeat(32).parse().unwrap(),
            acknowledged: vec![WarningCode::RuntimeDowngrade, WarningCode::MetadataLoss],
            created_by: Principal::user("alice@example.com").unwrap(),
        },
        request: None,
        write_within: LONG,
        grant_expire_time: start + TimeDelta::hours(1),
        planned: StepTimes {
            start,
            end: start + TimeDelta::microseconds(1),
        },
        authorized: StepTimes {
            start,
            end: start + TimeDelta::microseconds(2),
        },
    }
}

async fn accepted(store: &Store, new: &NewRollback, duration: TimeDelta) -> Job {
    match store.accept(new, &lease(duration), now()).await.unwrap() {
        Acceptance::Accepted(job) => *job,
        other @ (Acceptance::Repeated | Acceptance::InProgress(_)) => panic!("{other:?}"),
    }
}

async fn read(store: &Store, name: &RollbackName) -> Rollback {
    store.rollback(name).await.unwrap().unwrap()
}

async fn begin(store: &Store, fence: Fence) -> Attempt {
    store
        .begin_attempt(fence, &lease(LONG), false, now())
        .await
        .unwrap()
}

/// A deploy that runs.
fn shipped(deploy: i64) -> WrittenDeploy {
    WrittenDeploy {
        number: number(deploy),
        roll_out: Some(RollOutEnd {
            how: RollOut::Deployed,
            reason: String::new(),
        }),
    }
}

/// A deploy that somebody else ships.
fn shipping(deploy: i64) -> WrittenDeploy {
    WrittenDeploy {
        roll_out: None,
        ..shipped(deploy)
    }
}

fn failed(text: &str) -> Closing {
    Closing {
        ending: Ending::Failed,
        error: error(text),
    }
}
