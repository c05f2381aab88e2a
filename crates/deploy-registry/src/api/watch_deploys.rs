//! WatchDeploys streams the changes of a Deployment and its history.

use std::pin::Pin;
use std::time::Duration;

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::{Caller, caller};
use chassis::problem::Problem;
use futures::{Stream, StreamExt, stream};
use model::{DeploymentName, Permission, PermissionSet};
use proto::common::v1::ErrorReason;
use proto::registry::v1 as pb;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Request, Status};

use super::errors::{About, deployment_missing};
use super::{Registry, access, decode, encode};
use crate::feed::{Follower, MOST_WATCHERS, Stopped};
use crate::store::Error;

/// The messages of a watch. Each is made when the client takes it, so that nothing piles up for one that
/// is slow.
pub(crate) type Changes =
    Pin<Box<dyn Stream<Item = Result<pb::WatchDeploysResponse, Status>> + Send>>;

/// How often permission is asked for again, and how often something is sent when nothing changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) recheck: Duration,
    pub(crate) keep_alive: Duration,
}

impl Pace {
    pub(crate) const USUAL: Self = Self {
        recheck: Duration::from_secs(30),
        keep_alive: Duration::from_secs(15),
    };
}

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::WatchDeploysRequest>,
) -> Result<Changes, Problem> {
    let caller = caller(&request)?;
    let pb::WatchDeploysRequest {
        parent,
        after_change,
        after_changes: _,
    } = request.into_inner();
    let deployment: DeploymentName = decode::name("parent", &parent)?;
    require(registry, &caller, &deployment).await?;
    if after_change < 0 {
        return Err(wrong_position("must not be negative"));
    }

    let about = About::deployment(&deployment);
    let found = registry.store.deployment(&deployment).await;
    let found = found.map_err(|error| about.problem(error))?;
    let found = found.ok_or_else(|| deployment_missing(&deployment))?;
    // What cannot be gone on from is told at once.
    let first = registry.store.changes(found.uid, after_change, 1).await;
    first.map_err(|error| unreadable(&deployment, after_change, error))?;
    let follower = registry.feed.follow(found.uid, after_change);
    let watch = Watch {
        registry: registry.clone(),
        caller,
        deployment,
        follower: follower.ok_or_else(too_many)?,
        checked: Instant::now(),
        told: Instant::now(),
    };
    let messages = stream::try_unfold(watch, |mut watch| async move {
        let message = watch.next().await.map_err(Status::from)?;
        Ok(Some((message, watch)))
    });
    Ok(messages.boxed())
}

/// One open stream.
struct Watch {
    registry: Registry,
    caller: Caller,
    deployment: DeploymentName,
    follower: Follower,
    /// When permission was last asked for.
    checked: Instant,
    /// When something was last sent.
    told: Instant,
}

impl Watch {
    /// The next changes, or, after a while without any, a sign of life.
    async fn next(&mut self) -> Result<pb::WatchDeploysResponse, Problem> {
        let Pace {
            recheck,
            keep_alive,
        } = self.registry.watch_pace;
        loop {
            if self.registry.environment.now() >= self.caller.expire_time() {
                return Err(Problem::unauthenticated());
            }
            if self.checked.elapsed() >= recheck {
                require(&self.registry, &self.caller, &self.deployment).await?;
                self.checked = Instant::now();
            }
            let after = self.follower.last();
            let changes = self.follower.changes().await;
            let changes = changes.map_err(|error| unreadable(&self.deployment, after, error))?;
            if !changes.is_empty() || self.told.elapsed() >= keep_alive {
                self.told = Instant::now();
                let changes = changes.iter();
                return Ok(pb::WatchDeploysResponse {
                    changes: changes
                        .map(|change| encode::change(&self.deployment, change))
                        .collect(),
                    last_change: self.follower.last(),
                    last_changes: Default::default(),
                });
            }
            let until = (self.told + keep_alive).min(self.checked + recheck);
            match timeout_at(until, self.follower.moved()).await {
                // It is time to look at what else is due.
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(Stopped)) => return Err(Problem::unavailable("the stream", Stopped)),
            }
        }
    }
}

async fn require(
    registry: &Registry,
    caller: &Caller,
    deployment: &DeploymentName,
) -> Result<(), Problem> {
    let needed = PermissionSet::of(&[Permission::DeploymentDeployRevisionsGet]);
    let freshness = Freshness::MinimizeLatency;
    access::require(registry, caller, deployment, needed, freshness).await?;
    Ok(())
}

fn unreadable(deployment: &DeploymentName, after: i64, error: Error) -> Problem {
    if let Error::ChangesTrimmed = error {
        return trimmed(deployment, after);
    }
    if let Error::ChangeAhead(count) = error {
        return wrong_position(&format!("must be at most {count}, the Deployment's change"));
    }
    About::deployment(deployment).problem(error)
}

fn trimmed(deployment: &DeploymentName, after: i64) -> Problem {
    Problem::new(
        Code::OutOfRange,
        ErrorReason::ChangesTrimmed,
        format!(
            "the changes of {deployment} after {after} are not kept any more: list its deploys, then \
             watch after the Deployment's change"
        ),
    )
    .with("deployment", deployment)
    .with("after_change", after)
}

fn wrong_position(description: &str) -> Problem {
    let mut fields = Fields::new();
    fields.violation("after_change", description);
    fields.into_problem()
}

fn too_many() -> Problem {
    Problem::new(
        Code::ResourceExhausted,
        ErrorReason::LimitExceeded,
        format!("{MOST_WATCHERS} streams are open at this replica: try again later"),
    )
    .with("limit", MOST_WATCHERS)
    .retry_after(Duration::from_secs(5))
}
