use std::time::Duration;

use rand::RngExt;

use super::{Connection, Database, Error, Pools, StoreError};

/// How often a transaction is tried before its collision is reported.
const ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(2);

impl Database {
    /// Runs `body` in a transaction: commits what it did if it returns `Ok`, and nothing otherwise.
    ///
    /// If the database says that the transaction collided with another one, `body` runs again, so it
    /// must not keep anything from its first run. It makes no network call, does not sleep, and
    /// takes no second connection.
    ///
    /// An error of the commit itself leaves open whether it happened: callers find out by reading,
    /// or by repeating the request under its `request_id`.
    pub async fn write<T, E, F>(&self, body: F) -> Result<T, E>
    where
        E: StoreError,
        F: AsyncFn(&mut Connection) -> Result<T, E>,
    {
        let mut attempt = 1;
        loop {
            let error = match self.try_write(&body).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if attempt == ATTEMPTS || !error.database().is_some_and(Error::is_collision) {
                return Err(error);
            }
            let pause = FIRST_PAUSE * 2_u32.pow(attempt);
            tokio::time::sleep(pause.mul_f64(rand::rng().random_range(0.5..1.5))).await;
            attempt += 1;
        }
    }

    async fn try_write<T, E, F>(&self, body: &F) -> Result<T, E>
    where
        E: StoreError,
        F: AsyncFn(&mut Connection) -> Result<T, E>,
    {
        let mut transaction = self.begin().await?;
        match body(&mut transaction).await {
            Ok(value) => {
                transaction.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // A transaction that cannot be rolled back is dropped with its connection.
                if let Err(error) = transaction.roll_back().await {
                    tracing::debug!(%error, "rollback failed");
                }
                Err(error)
            }
        }
    }

    async fn begin(&self) -> Result<Connection, Error> {
        Ok(match &self.0 {
            // IMMEDIATE takes the write lock at once: a transaction that reads first and then finds
            // that it cannot write would have to start over.
            Pools::Sqlite {
                writer,
                readers: _,
                _lock,
            } => Connection::sqlite_transaction(writer.begin_with("BEGIN IMMEDIATE").await?),
            Pools::Postgres(pool) => Connection::postgres_transaction(pool.begin().await?),
        })
    }
}
