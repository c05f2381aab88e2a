//! What tests of the services need: databases of their own, and a look at how they go about statements.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed"
)]

use std::cell::RefCell;
use std::sync::Arc;

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use crate::database::{Database, DatabaseUrl, Error, Migrations, Value};
use crate::environment::Environment;

const POSTGRES_VARIABLE: &str = "REPRISE_TEST_POSTGRES_URL";

/// An empty database that nobody else uses. It goes when it is dropped, or, on PostgreSQL, with the
/// server of the test run.
#[derive(Debug)]
pub struct TestDatabase {
    /// The database.
    pub database: Database,
    /// How to open it again.
    pub url: DatabaseUrl,
    _folder: Option<Arc<TempDir>>,
}

impl TestDatabase {
    /// A SQLite database in a temporary folder.
    pub async fn sqlite(migrations: &Migrations) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("test.db"));
        Self::open(url, migrations, Some(Arc::new(folder))).await
    }

    /// A new database on the PostgreSQL server of the test run.
    pub async fn postgres(migrations: &Migrations) -> Self {
        Self::open(
            new_postgres_database().await.parse().unwrap(),
            migrations,
            None,
        )
        .await
    }

    /// The same database after a restart with these migrations.
    #[must_use]
    pub async fn reopened(self, migrations: &Migrations) -> Self {
        let Self {
            database,
            url,
            _folder: folder,
        } = self;
        database.close().await;
        drop(database);
        Self::open(url, migrations, folder).await
    }

    async fn open(url: DatabaseUrl, migrations: &Migrations, folder: Option<Arc<TempDir>>) -> Self {
        let database = Database::open(&url, "reprise_test", 8, migrations)
            .await
            .unwrap();
        Self {
            database,
            url,
            _folder: folder,
        }
    }
}

/// Creates a database on the PostgreSQL server of the test run, and returns its URL.
pub async fn new_postgres_database() -> String {
    let server = std::env::var(POSTGRES_VARIABLE)
        .unwrap_or_else(|_| panic!("{POSTGRES_VARIABLE} is not set; tests/run starts a server"));
    let name = format!("test_{}", Environment::system().new_uuid().simple());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create)
        .execute(&mut connection)
        .await
        .unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

tokio::task_local! {
    static STATEMENTS: RefCell<Vec<Statement>>;
}

/// A statement that was run.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its text.
    pub sql: &'static str,
    args: Vec<Value>,
}

impl Statement {
    /// How the database would go about it now, line by line.
    ///
    /// # Errors
    ///
    /// If the database cannot say.
    pub async fn plan(&self, database: &Database) -> Result<Vec<String>, Error> {
        let mut connection = database.read().await?;
        connection.explain(self.sql, self.args.clone()).await
    }
}

/// Runs something, and tells which statements that took. Those of tasks that it spawns are not among them.
pub async fn statements_of<T>(run: impl Future<Output = T>) -> (T, Vec<Statement>) {
    let noted = async {
        let outcome = run.await;
        (outcome, STATEMENTS.with(RefCell::take))
    };
    STATEMENTS.scope(RefCell::default(), noted).await
}

pub(crate) fn note(sql: &'static str, args: &[Value]) {
    let statement = || Statement {
        sql,
        args: args.to_vec(),
    };
    // Nobody wants to know, as a rule.
    let _ = STATEMENTS.try_with(|statements| statements.borrow_mut().push(statement()));
}

/// Runs each case on both databases: `cases!(MIGRATIONS; one_case, another_case)`. A case is an
/// `async fn(TestDatabase)`. PostgreSQL takes part with the feature `test-postgres`.
#[macro_export]
macro_rules! on_both_databases {
    ($migrations:expr; $($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($crate::testing::TestDatabase::sqlite(&$migrations).await).await;
            })+
        }

        #[cfg(feature = "test-postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($crate::testing::TestDatabase::postgres(&$migrations).await).await;
            })+
        }
    };
}
