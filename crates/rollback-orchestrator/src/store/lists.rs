use std::fmt;
use std::str::FromStr;

use chassis::args;
use chassis::database::{self, time};
use chassis::paging::{Listing, Reading, STEP};
use chrono::{DateTime, Utc};
use model::names::{DeploymentName, RollbackId};
use uuid::Uuid;

use super::rollbacks::{Row, rollback, select_rollback};
use super::{Error, Store};
use crate::domain::filter::RollbackFilter;
use crate::domain::rollback::Rollback;

/// Where a rollback stands in the list of its Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    create_time: DateTime<Utc>,
    rollback: RollbackId,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            create_time,
            rollback,
        } = self;
        write!(f, "{}/{rollback}", create_time.timestamp_micros())
    }
}

/// A text that is no position in a list.
#[derive(Debug, thiserror::Error)]
#[error("is no position in this list")]
pub(crate) struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (micros, rollback) = text.split_once('/').ok_or(NoPosition)?;
        let micros = micros.parse().map_err(|_| NoPosition)?;
        Ok(Self {
            create_time: time(micros).map_err(|_| NoPosition)?,
            rollback: rollback.parse().map_err(|_| NoPosition)?,
        })
    }
}

impl Store {
    /// The rollbacks of a Deployment that are asked for, the newest first, from the one before
    /// `before` on. A bounded number is passed over: then the last item is only a place to go on from.
    pub(crate) async fn list_rollbacks(
        &self,
        deployment: &DeploymentName,
        filter: &RollbackFilter,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Listing<(Position, Option<Rollback>)>, Error> {
        let mut before = before.map_or((i64::MAX, Uuid::max()), |position| {
            (
                position.create_time.timestamp_micros(),
                position.rollback.get(),
            )
        });
        let mut reading = Reading::new(limit);
        let mut connection = self.database.read().await?;
        loop {
            let step = if filter.is_empty() {
                reading.step()
            } else {
                STEP
            };
            let (micros, id) = before;
            let rows = connection
                .fetch_all::<Row>(
                    select_rollback!(
                        "(SELECT * FROM rollbacks
                          WHERE deployment = $1 AND (create_time, id) < ($2, $3)
                          ORDER BY create_time DESC, id DESC
                          LIMIT $4)",
                        "TRUE ORDER BY r.create_time DESC, r.id DESC"
                    ),
                    args![
                        deployment.to_string(),
                        micros,
                        id,
                        i64::try_from(step).map_err(database::Error::corrupt)?
                    ],
                )
                .await?;
            let mut read = 0;
            for rows in rows.chunk_by(|one, other| one.id() == other.id()) {
                if reading.is_full() {
                    return Ok(reading.end(true));
                }
                read += 1;
                let bytes = rows.iter().map(Row::bytes).sum();
                let Some((rollback, _)) = rollback(rows.to_vec())? else {
                    continue;
                };
                let position = Position {
                    create_time: rollback.create_time,
                    rollback: rollback.name.id(),
                };
                before = (
                    position.create_time.timestamp_micros(),
                    position.rollback.get(),
                );
                if filter.ends_before(rollback.create_time) {
                    return Ok(reading.end(false));
                }
                if filter.lets_through(&rollback) {
                    reading.push((position, Some(rollback)), bytes);
                } else if reading.pass(bytes) {
                    reading.push((position, None), 0);
                    return Ok(reading.end(true));
                }
            }
            if read < step {
                return Ok(reading.end(false));
            }
        }
    }
}
