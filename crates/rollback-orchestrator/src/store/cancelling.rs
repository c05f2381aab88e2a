use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::names::{Principal, RollbackName};

use super::audit::{Entry, Subject, record};
use super::progress::end_without_deploy;
use super::{Error, Fence, Store};
use crate::domain::audit::Event;
use crate::domain::rollback::{Closing, Ending, StoredError};

/// A rollback that somebody has asked to cancel, and who carries it out.
#[derive(sqlx::FromRow)]
struct Asked {
    #[sqlx(flatten)]
    subject: Subject,
    fence: i64,
}

impl Store {
    /// Notes that somebody wants a rollback cancelled; the first one counts. One of which nothing was
    /// sent has ended with that. Of any other the one who carries it out learns before it sends
    /// anything again, and ends it once the registry has confirmed that there is no deploy.
    ///
    /// It changes nothing about a rollback that has ended.
    pub(crate) async fn cancel(
        &self,
        name: &RollbackName,
        by: &Principal,
        error: &StoredError,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            let asked = tx
                .fetch_optional::<Asked>(
                    "UPDATE rollbacks
                         SET cancelled_by = $3, cancel_time = $4, update_time = $4,
                             version = version + 1
                         WHERE id = $1 AND deployment = $2 AND state IN ('PENDING', 'RUNNING')
                           AND cancelled_by IS NULL
                         RETURNING id, deployment, state, fence",
                    args![
                        name.id().get(),
                        name.deployment().to_string(),
                        by.to_string(),
                        now
                    ],
                )
                .await?;
            let Some(Asked { subject, fence }) = asked else {
                return Ok(());
            };
            let requested = Entry::by(by.clone(), Event::CancelRequested);
            record(tx, &subject, now, vec![requested]).await?;
            if subject.state != "PENDING" {
                return Ok(());
            }
            let fence = Fence {
                rollback: name.id(),
                counter: fence,
            };
            let closing = Closing {
                ending: Ending::Cancelled,
                error: error.clone(),
            };
            end_without_deploy(tx, fence, &closing, now).await
        })
    }
}
