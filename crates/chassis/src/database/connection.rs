use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, Postgres, Sqlite, Transaction};

use chrono::{DateTime, Utc};

use super::{Error, Value, in_time, time};

/// A connection to either database, inside a transaction or not.
#[derive(Debug)]
pub struct Connection(Inner);

#[derive(Debug)]
enum Inner {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTransaction(Transaction<'static, Sqlite>),
    Postgres(PoolConnection<Postgres>),
    PostgresTransaction(Transaction<'static, Postgres>),
}

enum Raw<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// What a row is read into: any struct that derives [`sqlx::FromRow`] and holds types that both
/// databases know, and any tuple of such.
pub trait Record:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Record for T where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

/// Binds the values one by one; the two drivers share no trait to write this once.
macro_rules! bind {
    ($query:expr, $args:expr) => {{
        let mut query = $query;
        for value in $args {
            query = match value {
                Value::Text(value) => query.bind(value),
                Value::Integer(value) => query.bind(value),
                Value::Boolean(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
                Value::Uuid(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Connection {
    pub(super) fn sqlite(connection: PoolConnection<Sqlite>) -> Self {
        Self(Inner::Sqlite(connection))
    }

    pub(super) fn postgres(connection: PoolConnection<Postgres>) -> Self {
        Self(Inner::Postgres(connection))
    }

    pub(super) fn sqlite_transaction(transaction: Transaction<'static, Sqlite>) -> Self {
        Self(Inner::SqliteTransaction(transaction))
    }

    pub(super) fn postgres_transaction(transaction: Transaction<'static, Postgres>) -> Self {
        Self(Inner::PostgresTransaction(transaction))
    }

    pub(super) async fn commit(self) -> Result<(), Error> {
        match self.0 {
            Inner::SqliteTransaction(transaction) => in_time(transaction.commit()).await?,
            Inner::PostgresTransaction(transaction) => in_time(transaction.commit()).await?,
            Inner::Sqlite(_) | Inner::Postgres(_) => {}
        }
        Ok(())
    }

    pub(super) async fn roll_back(self) -> Result<(), Error> {
        match self.0 {
            Inner::SqliteTransaction(transaction) => in_time(transaction.rollback()).await?,
            Inner::PostgresTransaction(transaction) => in_time(transaction.rollback()).await?,
            Inner::Sqlite(_) | Inner::Postgres(_) => {}
        }
        Ok(())
    }

    fn raw(&mut self) -> Raw<'_> {
        match &mut self.0 {
            Inner::Sqlite(connection) => Raw::Sqlite(connection),
            Inner::SqliteTransaction(transaction) => Raw::Sqlite(transaction),
            Inner::Postgres(connection) => Raw::Postgres(connection),
            Inner::PostgresTransaction(transaction) => Raw::Postgres(transaction),
        }
    }

    /// Runs a statement and tells how many rows it changed.
    pub async fn execute(&mut self, sql: &'static str, args: Vec<Value>) -> Result<u64, Error> {
        #[cfg(feature = "test-support")]
        crate::testing::note(sql, &args);
        Ok(match self.raw() {
            Raw::Sqlite(connection) => {
                in_time(bind!(sqlx::query::<Sqlite>(sql), args).execute(connection))
                    .await?
                    .rows_affected()
            }
            Raw::Postgres(connection) => {
                in_time(bind!(sqlx::query::<Postgres>(sql), args).execute(connection))
                    .await?
                    .rows_affected()
            }
        })
    }

    /// Runs a statement that returns at most one row.
    pub async fn fetch_optional<T: Record>(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Option<T>, Error> {
        #[cfg(feature = "test-support")]
        crate::testing::note(sql, &args);
        Ok(match self.raw() {
            Raw::Sqlite(connection) => {
                in_time(bind!(sqlx::query_as::<Sqlite, T>(sql), args).fetch_optional(connection))
                    .await?
            }
            Raw::Postgres(connection) => {
                in_time(bind!(sqlx::query_as::<Postgres, T>(sql), args).fetch_optional(connection))
                    .await?
            }
        })
    }

    /// Runs a statement that returns exactly one row.
    pub async fn fetch_one<T: Record>(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<T, Error> {
        self.fetch_optional(sql, args)
            .await?
            .ok_or_else(|| sqlx::Error::RowNotFound.into())
    }

    /// Runs a statement and returns all its rows: the statement bounds them.
    pub async fn fetch_all<T: Record>(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<T>, Error> {
        #[cfg(feature = "test-support")]
        crate::testing::note(sql, &args);
        Ok(match self.raw() {
            Raw::Sqlite(connection) => {
                in_time(bind!(sqlx::query_as::<Sqlite, T>(sql), args).fetch_all(connection)).await?
            }
            Raw::Postgres(connection) => {
                in_time(bind!(sqlx::query_as::<Postgres, T>(sql), args).fetch_all(connection))
                    .await?
            }
        })
    }

    /// How the database would go about a statement, line by line.
    #[cfg(feature = "test-support")]
    pub(crate) async fn explain(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<String>, Error> {
        Ok(match self.raw() {
            Raw::Sqlite(connection) => {
                let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
                let query = sqlx::query_as::<Sqlite, (i64, i64, i64, String)>(sql);
                let lines = in_time(bind!(query, args).fetch_all(connection)).await?;
                lines.into_iter().map(|(_, _, _, line)| line).collect()
            }
            Raw::Postgres(connection) => {
                let sql = sqlx::AssertSqlSafe(format!("EXPLAIN {sql}"));
                let query = sqlx::query_as::<Postgres, (String,)>(sql);
                let lines = in_time(bind!(query, args).fetch_all(connection)).await?;
                lines.into_iter().map(|(line,)| line).collect()
            }
        })
    }

    /// The database's clock, which all replicas share: what leases and their expiry are judged by.
    pub async fn database_time(&mut self) -> Result<DateTime<Utc>, Error> {
        let sql = match self.raw() {
            Raw::Sqlite(_) => "SELECT CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)",
            Raw::Postgres(_) => {
                "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
            }
        };
        let (micros,) = self.fetch_one::<(i64,)>(sql, Vec::new()).await?;
        time(micros)
    }
}
