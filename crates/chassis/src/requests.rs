//! The `request_id` of a mutating call: what makes a retry safe.
//!
//! The outcome of a request is kept in the transaction that brings it about, under principal, method,
//! parent and id. A service that uses this has the table `requests` among its migrations. Only
//! successes are kept, and callers check permission before they look here.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use model::names::{Principal, RequestId};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::database::{Connection, Database, Error, StoreError};
use crate::environment::Environment;
use crate::problem::{Problem, chain};
use crate::{args, transaction};

/// How long an outcome is kept.
pub const KEPT_FOR: TimeDelta = TimeDelta::days(7);
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);

/// A request that carries a `request_id`.
#[derive(Debug, Clone)]
pub struct Request {
    principal: String,
    method: &'static str,
    parent: String,
    id: RequestId,
    body: Vec<u8>,
}

impl Request {
    /// A request of `principal` to `method`, such as `CreateDeploy`, under `parent`.
    pub fn new(
        principal: &Principal,
        method: &'static str,
        parent: &impl ToString,
        id: RequestId,
        body: &impl Message,
    ) -> Self {
        Self {
            principal: principal.to_string(),
            method,
            parent: parent.to_string(),
            id,
            body: Sha256::digest(body.encode_to_vec()).to_vec(),
        }
    }
}

/// The `request_id` was used before for a request with other contents.
#[derive(Debug, thiserror::Error)]
#[error("request_id {0} was used before, for a request with other contents")]
pub struct Reused(pub RequestId);

impl From<Reused> for Problem {
    fn from(Reused(id): Reused) -> Self {
        Self::request_id_reused(&id)
    }
}

/// Looks for the outcome of a request that was answered before.
pub async fn replay<E: StoreError + From<Reused>>(
    connection: &mut Connection,
    request: Option<&Request>,
) -> Result<Option<String>, E> {
    let Some(request) = request else {
        return Ok(None);
    };
    let found = connection
        .fetch_optional::<(Vec<u8>, String)>(
            "SELECT body, outcome FROM requests
             WHERE principal = $1 AND method = $2 AND parent = $3 AND request_id = $4",
            args![
                &request.principal,
                request.method,
                &request.parent,
                request.id.get()
            ],
        )
        .await?;
    match found {
        None => Ok(None),
        Some((body, outcome)) if body == request.body => Ok(Some(outcome)),
        Some(_) => Err(Reused(request.id).into()),
    }
}

/// Keeps the outcome of a request, in the transaction that brings it about.
///
/// If the same request was answered at the same time, the transaction starts over and finds it.
pub async fn remember(
    transaction: &mut Connection,
    request: Option<&Request>,
    outcome: &impl ToString,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let Some(request) = request else {
        return Ok(());
    };
    let inserted = transaction
        .execute(
            "INSERT INTO requests
                 (principal, method, parent, request_id, body, outcome, create_time)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT DO NOTHING",
            args![
                &request.principal,
                request.method,
                &request.parent,
                request.id.get(),
                request.body.as_slice(),
                outcome.to_string(),
                now
            ],
        )
        .await?;
    if inserted == 0 {
        Err(Error::Collision)
    } else {
        Ok(())
    }
}

/// Forgets the outcomes that are older than [`KEPT_FOR`].
pub async fn forget_old(database: &Database, now: DateTime<Utc>) -> Result<u64, Error> {
    transaction!(database, |tx| {
        tx.execute(
            "DELETE FROM requests WHERE create_time < $1",
            args![now - KEPT_FOR],
        )
        .await
    })
}

/// Forgets the outcomes that are too old once an hour, until `stop` resolves.
pub async fn forget_hourly(
    database: Database,
    environment: Environment,
    stop: impl Future<Output = ()>,
) {
    let forgetting = async {
        loop {
            match forget_old(&database, environment.now()).await {
                Ok(requests) => tracing::debug!(requests, "old requests were forgotten"),
                Err(error) => {
                    tracing::warn!(cause = chain(&error), "old requests could not be forgotten");
                }
            }
            tokio::time::sleep(FORGET_EVERY).await;
        }
    };
    tokio::select! {
        () = stop => {}
        () = forgetting => {}
    }
}
