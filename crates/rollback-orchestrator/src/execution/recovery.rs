//! Finishing what others have left, and following what was written.

use std::sync::Arc;

use chassis::problem::chain;
use tracing::Instrument;

use super::{Driver, Execution};
use crate::store;

impl Execution {
    /// Takes up, until the service stops, the rollbacks that nobody carries out any more: those whose
    /// process died, and those that a stopping service let go of. Roll-outs are followed beside that.
    pub(crate) async fn recover(self) {
        let mut stopping = self.0.stopping.subscribe();
        loop {
            if let Err(error) = self.take_up_all().await {
                tracing::warn!(
                    cause = chain(&error),
                    "cannot look for rollbacks to take up"
                );
            }
            if let Err(error) = self.follow_all().await {
                tracing::warn!(cause = chain(&error), "cannot look for roll-outs to follow");
            }
            tokio::select! {
                () = tokio::time::sleep(self.0.patience.poll) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    async fn take_up_all(&self) -> Result<(), store::Error> {
        while let Ok(room) = Arc::clone(&self.0.room).try_acquire_owned()
            && !*self.0.stopping.borrow()
        {
            let now = self.0.environment.now();
            let Some(job) = self.0.store.take_up(&self.0.patience.lease, now).await? else {
                break;
            };
            let span = tracing::info_span!("recovery", rollback = %job.name);
            span.in_scope(|| tracing::info!(fence = job.fence.counter, "rollback taken up"));
            let driver = Driver::new(Arc::clone(&self.0), job, None);
            let task = async move {
                driver.drive().await;
                drop(room);
            };
            self.spawn(task.instrument(span));
        }
        Ok(())
    }
}
