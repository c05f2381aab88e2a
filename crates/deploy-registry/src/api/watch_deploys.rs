//! WatchDeploys streams the changes of a Deployment and its history, or of all those of a workspace.

mod deployment;
mod workspace;

use std::pin::Pin;
use std::time::Duration;

use chassis::fields::Fields;
use chassis::identity::{Caller, caller};
use chassis::problem::Problem;
use futures::{Stream, StreamExt, stream};
use model::{DeploymentName, Permission, PermissionSet, ResourceName};
use proto::common::v1::ErrorReason;
use proto::registry::v1 as pb;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Request, Status};

use self::deployment::WatchedDeployment;
use self::workspace::WatchedWorkspace;
use super::errors::About;
use super::{Registry, decode};
use crate::feed::{Follower, MOST_WATCHERS, Stopped};
use crate::store::Error;

/// The messages of a watch. Each is made when the client takes it, so that nothing piles up for one that
/// is slow.
pub(crate) type Changes =
    Pin<Box<dyn Stream<Item = Result<pb::WatchDeploysResponse, Status>> + Send>>;

const NEEDED: PermissionSet = PermissionSet::of(&[Permission::DeploymentDeployRevisionsGet]);

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
    let request = request.into_inner();
    let watched = match decode::name("parent", &request.parent)? {
        ResourceName::Deployment(name) => {
            Watched::Deployment(WatchedDeployment::open(registry, &caller, name, &request).await?)
        }
        ResourceName::Workspace(name) => {
            Watched::Workspace(WatchedWorkspace::open(registry, &caller, name, request).await?)
        }
        ResourceName::System => {
            let mut fields = Fields::new();
            fields.violation("parent", "must be a workspace or a Deployment");
            return Err(fields.into_problem());
        }
    };
    let watch = Watch {
        registry: registry.clone(),
        caller,
        watched,
        follower: registry.feed.follow().ok_or_else(too_many)?,
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
    watched: Watched,
    follower: Follower,
    /// When permission was last asked for.
    checked: Instant,
    /// When something was last sent.
    told: Instant,
}

enum Watched {
    Deployment(WatchedDeployment),
    Workspace(WatchedWorkspace),
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
                self.recheck().await?;
                self.checked = Instant::now();
            }
            let message = self.changes().await?;
            if !message.changes.is_empty() || self.told.elapsed() >= keep_alive {
                self.told = Instant::now();
                return Ok(message);
            }
            let until = (self.told + keep_alive).min(self.checked + recheck);
            match timeout_at(until, self.follower.moved()).await {
                // It is time to look at what else is due.
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(Stopped)) => return Err(Problem::unavailable("the stream", Stopped)),
            }
        }
    }

    async fn recheck(&mut self) -> Result<(), Problem> {
        match &mut self.watched {
            Watched::Deployment(watched) => watched.recheck(&self.registry, &self.caller).await,
            Watched::Workspace(watched) => watched.recheck(&self.registry, &self.caller).await,
        }
    }

    async fn changes(&mut self) -> Result<pb::WatchDeploysResponse, Problem> {
        let follower = &mut self.follower;
        match &mut self.watched {
            Watched::Deployment(watched) => watched.changes(follower).await,
            Watched::Workspace(watched) => {
                watched
                    .changes(&self.registry, &self.caller, follower)
                    .await
            }
        }
    }
}

/// Why the changes after one cannot be read.
fn unreadable(deployment: &DeploymentName, after: i64, error: Error) -> Problem {
    if let Error::ChangesTrimmed = error {
        return trimmed(deployment, after);
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

const NEGATIVE: &str = "must not be negative";

/// What is wrong with a position that no change has reached yet.
fn ahead(count: i64) -> String {
    format!("must be at most {count}, the Deployment's change")
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
