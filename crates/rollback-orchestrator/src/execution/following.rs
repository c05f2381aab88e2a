//! Following the roll-outs of deploys that somebody else ships.
//!
//! Nobody sits beside a roll-out: the rollback says when it has to be looked at next, and any replica does.

use std::sync::Arc;

use chassis::problem::chain;
use tracing::Instrument;

use super::{Execution, Inner};
use crate::clients::failure;
use crate::clients::registry::Look;
use crate::domain::rollback::{RollOut, RollOutEnd, StoredError, WrittenDeploy};
use crate::store::{self, Error, Followed, Looked};

impl Execution {
    /// Looks at all roll-outs that are due, as far as there is room.
    pub(super) async fn follow_all(&self) -> Result<(), store::Error> {
        while let Ok(room) = Arc::clone(&self.0.room_to_look).try_acquire_owned()
            && !*self.0.stopping.borrow()
        {
            let Some(followed) = self.0.store.follow(&self.0.patience.lease).await? else {
                break;
            };
            let span = tracing::info_span!("roll-out", rollback = %followed.name);
            let inner = Arc::clone(&self.0);
            let task = async move {
                inner.look_at(followed).await;
                drop(room);
            };
            self.spawn(task.instrument(span));
        }
        Ok(())
    }
}

impl Inner {
    /// Looks once. If the database fails, whoever looks next finds things as they were.
    pub(super) async fn look_at(&self, followed: Followed) {
        let rollback = followed.name.clone();
        match self.look(followed).await {
            Ok(()) => {}
            Err(Error::Lost) => tracing::info!(%rollback, "somebody else follows the roll-out"),
            Err(Error::Database(error)) => {
                tracing::error!(%rollback, cause = chain(&error), "cannot follow the roll-out");
            }
        }
    }

    async fn look(&self, followed: Followed) -> Result<(), Error> {
        let past_deadline = followed.past_deadline;
        match self.registry.look(&followed.name, followed.deploy).await {
            Ok(Look::Found(WrittenDeploy {
                roll_out: Some(end),
                number: _,
            })) => self.end_roll_out(&followed, &end).await,
            Ok(Look::Found(_)) if past_deadline => {
                let end = timed_out("nobody reported by the deadline that it ended");
                self.end_roll_out(&followed, &end).await
            }
            Ok(Look::Found(_)) => self.look_again(&followed, None, false).await,
            Ok(Look::Lost) if past_deadline => {
                let end = timed_out("the deploy-registry does not have the deploy any more");
                self.end_roll_out(&followed, &end).await
            }
            Ok(Look::Lost) => {
                let rollback = &followed.name;
                tracing::error!(%rollback, deploy = %followed.deploy, "the registry has lost a deploy");
                let error = failure::deploy_lost(rollback, followed.deploy);
                self.look_again(&followed, Some(error), true).await
            }
            Err(failure) => {
                let problem = failure.into_problem();
                tracing::warn!(rollback = %followed.name, %problem, "cannot look at the roll-out");
                let error = failure::stored(problem, &followed.name);
                self.look_again(&followed, Some(error), past_deadline).await
            }
        }
    }

    async fn look_again(
        &self,
        followed: &Followed,
        error: Option<StoredError>,
        needs_attention: bool,
    ) -> Result<(), Error> {
        let looked = Looked {
            error,
            needs_attention,
        };
        let looks = self.patience.follow.looks;
        let now = self.environment.now();
        self.store.look_again(followed, &looked, looks, now).await
    }

    async fn end_roll_out(&self, followed: &Followed, end: &RollOutEnd) -> Result<(), Error> {
        let now = self.environment.now();
        self.store.end_roll_out(followed, end, now).await?;
        let (rollback, roll_out) = (&followed.name, end.how);
        match roll_out {
            RollOut::Deployed => tracing::info!(%rollback, "the new deploy runs"),
            RollOut::Failed | RollOut::Superseded | RollOut::TimedOut => {
                tracing::warn!(%rollback, %roll_out, "the new deploy does not run");
            }
        }
        Ok(())
    }
}

fn timed_out(reason: &str) -> RollOutEnd {
    RollOutEnd {
        how: RollOut::TimedOut,
        reason: reason.to_owned(),
    }
}
