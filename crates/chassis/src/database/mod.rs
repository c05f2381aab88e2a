//! One store on two databases: SQLite, embedded, and PostgreSQL.
//!
//! A store writes each statement once, as literal SQL that both databases understand, and runs it on
//! a [`Connection`]. [`transaction!`](crate::transaction) runs a transaction; [`Database::read`] lends a connection
//! on which every statement sees its own snapshot.
//!
//! What both databases agree on, so that one text serves: parameters are `$1`, `$2`, …; numbers are
//! `BIGINT` (`INTEGER` in SQLite); times are microseconds since 1970 in such a number; documents are
//! `TEXT`; digests and ids are `TEXT` or bytes; `INSERT … ON CONFLICT … DO NOTHING`,
//! `UPDATE … RETURNING` and row-value comparison work on both. SQLite has no `FOR UPDATE`: to lock
//! a row, update it.

mod connection;
mod error;
mod migrations;
#[cfg(test)]
mod tests;
mod transaction;
mod value;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub use connection::{Connection, Record};
pub use error::{Error, StoreError};
pub use migrations::Migrations;
pub use transaction::Attempts;
pub use value::Value;

/// How long a statement waits for a connection, or for SQLite's lock.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// What PostgreSQL ends by itself. Without these a replica that stands still in the middle of a
/// transaction, or whose machine has gone without a word, holds its rows for hours, and everybody
/// else waits for them as long.
const POSTGRES_LIMITS: [(&str, &str); 3] = [
    ("lock_timeout", "8s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("statement_timeout", "30s"),
];

/// How long an answer of the database is waited for: longer than PostgreSQL lets any statement run,
/// so that only a server that cannot be reached any more, or hangs, takes so long.
const ANSWER_LIMIT: Duration = Duration::from_secs(40);

/// How long the connections that are lent may take to come back when the database is closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
const SQLITE_READERS: u32 = 8;

/// A database that is open and has the newest schema. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database(Pools);

#[derive(Clone, Debug)]
enum Pools {
    Sqlite {
        /// SQLite has one writer at a time; waiting for this connection is fairer than its lock.
        writer: SqlitePool,
        readers: SqlitePool,
        /// Held as long as any clone lives, so that no second process opens the file.
        _lock: Arc<File>,
    },
    Postgres(PgPool),
}

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file, which is created if it is missing.
    Sqlite(PathBuf),
    /// A server and database, as `postgres://user:password@host:port/database`.
    Postgres(SecretUrl),
}

/// A URL that can hold a password: it shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl std::fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("postgres://…")
    }
}

/// A database URL that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a database URL is `sqlite:path/to/file.db` or `postgres://user@host/database`")]
pub struct DatabaseUrlError;

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.starts_with(":memory:") {
                return Err(DatabaseUrlError);
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(SecretUrl(text.to_owned())));
        }
        Err(DatabaseUrlError)
    }
}

impl Database {
    /// Opens a database and brings its schema up to date.
    ///
    /// On PostgreSQL all tables live in the schema `schema`, so that services can share a database;
    /// `connections` bounds the pool.
    pub async fn open(
        url: &DatabaseUrl,
        schema: &'static str,
        connections: u32,
        migrations: &Migrations,
    ) -> Result<Self, Error> {
        match url {
            DatabaseUrl::Sqlite(path) => Self::open_sqlite(path, migrations).await,
            DatabaseUrl::Postgres(SecretUrl(url)) => {
                Self::open_postgres(url, schema, connections, migrations).await
            }
        }
    }

    async fn open_sqlite(path: &Path, migrations: &Migrations) -> Result<Self, Error> {
        let lock = lock_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged write survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.clone())
            .await
            .map_err(|source| Error::File {
                path: path.to_owned(),
                source,
            })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options.pragma("query_only", "ON"));
        migrations.run_on_sqlite(&writer).await?;
        Ok(Self(Pools::Sqlite {
            writer,
            readers,
            _lock: Arc::new(lock),
        }))
    }

    async fn open_postgres(
        url: &str,
        schema: &'static str,
        connections: u32,
        migrations: &Migrations,
    ) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url)?
            .application_name(schema)
            .options([("search_path", schema)]);
        // A pool hides behind a time-out why it cannot connect.
        PgConnection::connect_with(&options).await?.close().await?;
        let unlimited = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.clone())
            .await?;
        migrations.run_on_postgres(&unlimited, schema).await?;
        unlimited.close().await;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.options(POSTGRES_LIMITS))
            .await?;
        Ok(Self(Pools::Postgres(pool)))
    }

    /// Lends a connection for reading. Every statement sees its own snapshot: what must be
    /// consistent is read in one statement, or from a [`snapshot`](Self::snapshot).
    pub async fn read(&self) -> Result<Connection, Error> {
        Ok(match &self.0 {
            Pools::Sqlite {
                writer: _,
                readers,
                _lock,
            } => Connection::sqlite(readers.acquire().await?),
            Pools::Postgres(pool) => Connection::postgres(pool.acquire().await?),
        })
    }

    /// Lends a connection for reading on which all statements see the same: what was committed when
    /// the first one ran.
    pub async fn snapshot(&self) -> Result<Connection, Error> {
        Ok(match &self.0 {
            Pools::Sqlite {
                writer: _,
                readers,
                _lock,
            } => {
                Connection::sqlite_transaction(in_time(readers.begin_with("BEGIN DEFERRED")).await?)
            }
            Pools::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
                Connection::postgres_transaction(in_time(pool.begin_with(begin)).await?)
            }
        })
    }

    /// Closes all connections, after those that are lent have come back. Those that do not, because
    /// the database does not answer them, are left.
    pub async fn close(&self) {
        let closing = async {
            match &self.0 {
                Pools::Sqlite {
                    writer,
                    readers,
                    _lock,
                } => {
                    readers.close().await;
                    writer.close().await;
                }
                Pools::Postgres(pool) => pool.close().await,
            }
        };
        if tokio::time::timeout(CLOSE_LIMIT, closing).await.is_err() {
            tracing::warn!("connections to the database were still in use; they are left");
        }
    }
}

/// Waits for an answer of the database, but not for ever. A connection that was given up is not used
/// again before the database has answered on it.
async fn in_time<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    within(ANSWER_LIMIT, answer).await
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::TimedOut),
    }
}

/// The time that a column of microseconds holds.
pub fn time(micros: i64) -> Result<DateTime<Utc>, Error> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| Error::corrupt(format!("{micros} is no time in microseconds")))
}

/// Takes the lock file beside a SQLite database: two processes on one file would each believe that
/// what it has in memory is all there is.
fn lock_file(database: &Path) -> Result<File, Error> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let open = || {
        File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
    };
    let file = open().map_err(|source| Error::LockFile {
        path: path.clone(),
        source,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            path: database.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(Error::LockFile { path, source }),
    }
}
