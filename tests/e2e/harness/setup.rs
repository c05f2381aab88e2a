use std::ffi::OsString;
use std::path::Path;

use super::Stack;

/// What a case runs on. `start` makes it run.
pub(crate) struct Setup {
    pub(super) database: Database,
    pub(super) proxied: bool,
    pub(super) authorization_flags: Vec<OsString>,
    pub(super) registry_flags: Vec<&'static str>,
    pub(super) orchestrator_flags: Vec<&'static str>,
}

/// Where the services keep their records.
pub(super) enum Database {
    /// A file for each, in the folder of the case.
    Sqlite,
    /// A schema for each, in a database of the case.
    #[cfg(feature = "test-postgres")]
    Postgres(String),
}

impl Database {
    pub(super) fn url(&self, folder: &Path, service: &str) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}/{service}.db", folder.display()),
            #[cfg(feature = "test-postgres")]
            Self::Postgres(url) => url.clone(),
        }
    }
}

impl Setup {
    pub(crate) fn sqlite() -> Self {
        Self::on(Database::Sqlite)
    }

    #[cfg(feature = "test-postgres")]
    pub(crate) async fn postgres() -> Self {
        Self::on(Database::Postgres(
            chassis::testing::new_postgres_database().await,
        ))
    }

    fn on(database: Database) -> Self {
        Self {
            database,
            proxied: false,
            authorization_flags: Vec::new(),
            registry_flags: Vec::new(),
            orchestrator_flags: Vec::new(),
        }
    }

    /// Puts a proxy between orchestrator and registry.
    pub(crate) fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Has this policy file applied whenever the authorization service starts.
    pub(crate) fn policy_file(mut self, file: &Path) -> Self {
        self.authorization_flags
            .extend(["--policy-file".into(), file.into()]);
        self
    }

    /// Starts the registry with these flags, too.
    pub(crate) fn registry_flags(mut self, flags: &[&'static str]) -> Self {
        self.registry_flags.extend(flags);
        self
    }

    /// Starts the orchestrator with these flags, too.
    pub(crate) fn orchestrator_flags(mut self, flags: &[&'static str]) -> Self {
        self.orchestrator_flags.extend(flags);
        self
    }

    /// Starts the three services.
    pub(crate) async fn start(self) -> Stack {
        Stack::start(self).await
    }
}

/// Makes a test for each database of each case. A case is an `async fn(Setup)`.
macro_rules! on_both_databases {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case($crate::harness::Setup::sqlite()).await;
            })+
        }

        #[cfg(feature = "test-postgres")]
        mod postgres {
            $(#[tokio::test]
            async fn $case() {
                super::$case($crate::harness::Setup::postgres().await).await;
            })+
        }
    };
}
