//! WatchRollback: what happens to a rollback, as it happens.

use std::pin::Pin;
use std::time::Duration;

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::{Caller, caller};
use chassis::problem::Problem;
use futures::{Stream, StreamExt, stream};
use model::names::RollbackName;
use proto::common::v1::ErrorReason;
use proto::rollback::v1::{WatchRollbackRequest, WatchRollbackResponse};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Request, Status};

use super::permission::{NEEDED, VISIBLE_BY};
use super::{Api, encode};
use crate::feed::{Follower, MOST_WATCHERS, Stopped};
use crate::store::Moment;

/// The messages of a watch. Each is made when the client takes it, so that nothing piles up for one that
/// is slow.
pub(crate) type Messages =
    Pin<Box<dyn Stream<Item = Result<WatchRollbackResponse, Status>> + Send>>;

/// How often permission is asked for again, how often something is sent when nothing happens, and how many
/// events one message holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) recheck: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) at_once: i64,
}

impl Pace {
    pub(crate) const USUAL: Self = Self {
        recheck: Duration::from_secs(30),
        keep_alive: Duration::from_secs(15),
        at_once: 100,
    };
}

pub(super) async fn handle(
    service: &Api,
    request: Request<WatchRollbackRequest>,
) -> Result<Messages, Problem> {
    let caller = caller(&request)?;
    let WatchRollbackRequest { name, after_event } = request.into_inner();

    let mut fields = Fields::new();
    let Some(name) = fields.parse::<RollbackName>("name", &name) else {
        return Err(fields.into_problem());
    };
    require(service, &caller, &name).await?;
    let after = fields.check("after_event", after_event, |after| {
        (*after >= 0).then_some(()).ok_or("must not be negative")
    });
    let Some(after) = after else {
        return Err(fields.into_problem());
    };

    let follower = service.feed.follow(name.deployment());
    let follower = follower.ok_or_else(too_many)?;
    let first = moment(service, &name, after).await?;
    if after > first.last_event {
        let most = first.last_event;
        let description = format!("must be at most {most}, the Deployment's last event");
        fields.violation("after_event", &description);
        return Err(fields.into_problem());
    }
    let watch = Watch {
        service: service.clone(),
        caller,
        name,
        follower,
        next: Next::Tell(Box::new(first)),
        after,
        checked: Instant::now(),
        told: Instant::now(),
    };
    let messages = stream::try_unfold(watch, |mut watch| async move {
        let message = watch.message().await.map_err(Status::from)?;
        Ok(message.map(|message| (message, watch)))
    });
    Ok(messages.boxed())
}

/// One open stream.
struct Watch {
    service: Api,
    caller: Caller,
    name: RollbackName,
    follower: Follower,
    next: Next,
    /// The last event that was told.
    after: i64,
    /// When permission was last asked for.
    checked: Instant,
    /// When something was last sent.
    told: Instant,
}

/// What to do when the client takes the next message.
enum Next {
    /// Tell what was read already.
    Tell(Box<Moment>),
    /// Read what there is after the last event.
    Read,
    /// Wait until the Deployment has an event after this one.
    Wait(i64),
    /// Nothing will happen any more.
    End,
}

impl Watch {
    /// The next events, or, after a while without any, a sign of life. None at the end.
    async fn message(&mut self) -> Result<Option<WatchRollbackResponse>, Problem> {
        let Pace {
            recheck,
            keep_alive,
            at_once: _,
        } = self.service.watch_pace;
        loop {
            let left = self.caller.expire_time() - self.service.environment.now();
            let left = left.to_std().map_err(|_| Problem::unauthenticated())?;
            if self.checked.elapsed() >= recheck {
                require(&self.service, &self.caller, &self.name).await?;
                self.checked = Instant::now();
            }
            match std::mem::replace(&mut self.next, Next::Read) {
                Next::End => return Ok(None),
                Next::Tell(moment) => return Ok(Some(self.tell(*moment))),
                Next::Read => {
                    let moment = moment(&self.service, &self.name, self.after).await?;
                    self.next = if !moment.events.is_empty() {
                        Next::Tell(Box::new(moment))
                    } else if moment.rollback.is_settled() {
                        Next::End
                    } else if self.told.elapsed() < keep_alive {
                        Next::Wait(moment.last_event)
                    } else {
                        Next::Tell(Box::new(moment))
                    };
                }
                Next::Wait(event) => {
                    let until = (self.told + keep_alive).min(self.checked + recheck);
                    let until = until.min(Instant::now() + left);
                    match timeout_at(until, self.follower.after(event)).await {
                        Ok(Ok(())) => {}
                        // It is time to look at what else is due.
                        Err(_) if self.told.elapsed() < keep_alive => self.next = Next::Wait(event),
                        Err(_) => {}
                        Ok(Err(Stopped)) => {
                            return Err(Problem::unavailable("the stream", Stopped));
                        }
                    }
                }
            }
        }
    }

    fn tell(&mut self, moment: Moment) -> WatchRollbackResponse {
        let Moment {
            rollback,
            events,
            last_event,
        } = moment;
        let at_once = self.service.watch_pace.at_once;
        let is_all = i64::try_from(events.len()).is_ok_and(|count| count < at_once);
        self.next = match (is_all, rollback.is_settled()) {
            (true, true) => Next::End,
            (true, false) => Next::Wait(last_event),
            (false, _) => Next::Read,
        };
        self.after = events.last().map_or(self.after, |event| event.number);
        self.told = Instant::now();
        WatchRollbackResponse {
            rollback: Some(encode::rollback(rollback)),
            events: events.into_iter().map(encode::audit_event).collect(),
            last_event: self.after,
        }
    }
}

async fn moment(service: &Api, name: &RollbackName, after: i64) -> Result<Moment, Problem> {
    let at_once = service.watch_pace.at_once;
    let moment = service.store.moment(name, after, at_once).await?;
    moment.ok_or_else(|| Problem::not_found("rollback", name))
}

async fn require(service: &Api, caller: &Caller, name: &RollbackName) -> Result<(), Problem> {
    let resource = name.deployment().clone().into();
    let freshness = Freshness::MinimizeLatency;
    service
        .access
        .require(caller, &resource, NEEDED, VISIBLE_BY, freshness)
        .await
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
