use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use super::Error;

/// The steps that lead to a service's newest schema, oldest first, for each database. A step is
/// never changed once it is released; its number is its place.
#[derive(Debug)]
pub struct Migrations {
    /// The steps in SQLite's dialect.
    pub sqlite: &'static [&'static str],
    /// The same steps in PostgreSQL's dialect.
    pub postgres: &'static [&'static str],
}

impl Migrations {
    pub(super) async fn run_on_sqlite(&self, writer: &SqlitePool) -> Result<(), Error> {
        Ok(migrator(self.sqlite).run(writer).await?)
    }

    /// A step may take long, and other replicas wait for it: in this pool no statement is limited.
    pub(super) async fn run_on_postgres(
        &self,
        unlimited: &PgPool,
        schema: &'static str,
    ) -> Result<(), Error> {
        let mut migrator = migrator(self.postgres);
        migrator.create_schema(schema);
        Ok(migrator.run(unlimited).await?)
    }
}

fn migrator(steps: &[&'static str]) -> Migrator {
    let step = |(version, sql): (i64, &&'static str)| {
        let sql = (*sql).into_sql_str();
        Migration::new(
            version,
            Cow::Borrowed(""),
            MigrationType::Simple,
            sql,
            false,
        )
    };
    Migrator::with_migrations((1..).zip(steps).map(step).collect())
}
