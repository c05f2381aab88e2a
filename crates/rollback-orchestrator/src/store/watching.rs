use std::collections::HashMap;

use chassis::args;
use model::names::RollbackName;

use super::audit::events_after;
use super::rollbacks::read;
use super::{Error, Store};
use crate::domain::audit::AuditEvent;
use crate::domain::rollback::Rollback;

/// A rollback at one moment, and what was told of it since an event.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub(crate) rollback: Rollback,
    /// The next events of the rollback. As many as were asked for, or all there are.
    pub(crate) events: Vec<AuditEvent>,
    /// The number of the Deployment's last event.
    pub(crate) last_event: i64,
}

impl Store {
    /// A rollback, and what was told of it after an event.
    pub(crate) async fn moment(
        &self,
        name: &RollbackName,
        after: i64,
        most: i64,
    ) -> Result<Option<Moment>, Error> {
        let mut snapshot = self.database.snapshot().await?;
        let Some(rollback) = read(&mut snapshot, name).await? else {
            return Ok(None);
        };
        let deployment = name.deployment();
        let events = events_after(&mut snapshot, deployment, Some(name.id()), after, most).await?;
        let last_event = snapshot
            .fetch_optional::<(i64,)>(
                "SELECT last FROM audit_counters WHERE deployment = $1",
                args![deployment.to_string()],
            )
            .await?
            .map_or(0, |(last,)| last);
        Ok(Some(Moment {
            rollback,
            events,
            last_event,
        }))
    }

    /// The number of the last event of each Deployment.
    pub(crate) async fn last_events(&self) -> Result<HashMap<String, i64>, Error> {
        let mut connection = self.database.read().await?;
        let rows = connection
            .fetch_all::<(String, i64)>("SELECT deployment, last FROM audit_counters", args![])
            .await?;
        Ok(rows.into_iter().collect())
    }
}
