use std::ops::ControlFlow;
use std::time::Duration;

use crate::backoff;

use super::{Connection, Database, Error, Pools, StoreError, in_time};

/// How often a transaction is tried before its collision is reported.
const MOST_ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(300);

/// Runs a body in a transaction: commits what it did if it is `Ok`, and nothing otherwise.
///
/// `transaction!(database, |tx| { …; Ok(value) })` is a `Result<T, E>` for any [`StoreError`] `E`;
/// inside, `tx` is a `&mut Connection`, and `?` and `return` leave the body. If the database says
/// that the transaction collided with another one, the body runs again, so it must not keep anything
/// from its first run. It makes no network call, does not sleep, and takes no second connection.
///
/// An error of the commit itself leaves open whether it happened: callers find out by reading, or by
/// repeating the request under its `request_id`.
///
/// It is a macro because a function over an async closure would not be `Send` where the closure
/// borrows ([rust-lang/rust#110338](https://github.com/rust-lang/rust/issues/110338)).
#[macro_export]
macro_rules! transaction {
    ($database:expr, |$tx:ident| $body:expr) => {{
        let database: &$crate::database::Database = &$database;
        let mut attempts = $crate::database::Attempts::default();
        loop {
            let mut transaction = match database.begin().await {
                ::std::result::Result::Ok(transaction) => transaction,
                ::std::result::Result::Err(error) => {
                    break ::std::result::Result::Err(::std::convert::From::from(error));
                }
            };
            let outcome = async {
                let $tx = &mut transaction;
                $body
            }
            .await;
            match attempts.end(transaction, outcome).await {
                ::std::ops::ControlFlow::Break(outcome) => break outcome,
                ::std::ops::ControlFlow::Continue(()) => {}
            }
        }
    }};
}

/// Counts how often a transaction was tried. For [`transaction!`](crate::transaction).
#[derive(Debug, Default)]
pub struct Attempts(u32);

impl Attempts {
    /// Commits or rolls back; says to go on if the transaction collided and may be tried again.
    pub async fn end<T, E: StoreError>(
        &mut self,
        transaction: Connection,
        outcome: Result<T, E>,
    ) -> ControlFlow<Result<T, E>> {
        self.0 += 1;
        let error = match outcome {
            Ok(value) => match transaction.commit().await {
                Ok(()) => return ControlFlow::Break(Ok(value)),
                Err(error) => E::from(error),
            },
            Err(error) => {
                // A transaction that cannot be rolled back is dropped with its connection.
                if let Err(error) = transaction.roll_back().await {
                    tracing::debug!(%error, "rollback failed");
                }
                error
            }
        };
        if self.0 == MOST_ATTEMPTS || !error.database().is_some_and(Error::is_collision) {
            return ControlFlow::Break(Err(error));
        }
        tokio::time::sleep(backoff::pause(self.0, FIRST_PAUSE, LONGEST_PAUSE)).await;
        ControlFlow::Continue(())
    }
}

impl Database {
    /// Begins a transaction. For [`transaction!`](crate::transaction).
    pub async fn begin(&self) -> Result<Connection, Error> {
        Ok(match &self.0 {
            // IMMEDIATE takes the write lock at once: a transaction that reads first and then finds
            // that it cannot write would have to start over.
            Pools::Sqlite {
                writer,
                readers: _,
                _lock,
            } => {
                Connection::sqlite_transaction(in_time(writer.begin_with("BEGIN IMMEDIATE")).await?)
            }
            Pools::Postgres(pool) => Connection::postgres_transaction(in_time(pool.begin()).await?),
        })
    }
}
