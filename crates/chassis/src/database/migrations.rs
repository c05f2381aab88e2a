use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::{Error, Pools};

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
    pub(super) async fn run(&self, pools: &Pools, schema: &'static str) -> Result<(), Error> {
        match pools {
            Pools::Sqlite {
                writer,
                readers: _,
                _lock,
            } => {
                migrator(self.sqlite).run(writer).await?;
            }
            Pools::Postgres(pool) => {
                let mut migrator = migrator(self.postgres);
                migrator.create_schema(schema);
                migrator.run(pool).await?;
            }
        }
        Ok(())
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
