use std::path::PathBuf;

use crate::problem::Problem;

/// Why a database call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The SQLite file belongs to another process.
    #[error("{} is in use by another process; stop that one first", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The lock file beside a SQLite database cannot be made or locked.
    #[error("cannot lock {}; is its folder there, and writable?", path.display())]
    LockFile {
        /// The lock file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A SQLite file cannot be opened.
    #[error("cannot open {}; is it a SQLite database, and writable?", path.display())]
    File {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot bring the schema up to date; is it of another service, or of a newer release?")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// What is stored cannot be read: the database was changed by something else, or by a newer
    /// release.
    #[error("stored data cannot be read: {what}")]
    Corrupt {
        /// What is wrong.
        what: String,
    },
    /// Two transactions got into each other's way. [`transaction!`](crate::transaction)
    /// tries again.
    #[error("the transaction collided with another one")]
    Collision,
    /// The database did not answer. Whether it did what it was asked for is not known.
    #[error("the database did not answer in time")]
    TimedOut,
    /// Whatever the driver says.
    #[error("the database failed")]
    Driver(#[from] sqlx::Error),
}

/// The error type of a store, for [`transaction!`](crate::transaction), which tries again
/// when the database asks for it.
pub trait StoreError: From<Error> {
    /// The database's part of the error, if the database failed.
    fn database(&self) -> Option<&Error>;
}

impl StoreError for Error {
    fn database(&self) -> Option<&Error> {
        Some(self)
    }
}

impl Error {
    /// What is stored cannot be read.
    pub fn corrupt(what: impl ToString) -> Self {
        Self::Corrupt {
            what: what.to_string(),
        }
    }

    /// Whether the statement broke a unique constraint.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Driver(sqlx::Error::Database(error)) if error.is_unique_violation())
    }

    /// Whether the transaction was rolled back and can simply be run again.
    pub(super) fn is_collision(&self) -> bool {
        match self {
            Self::Collision => true,
            Self::Driver(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| is_collision(&code))
            }
            Self::InUse { .. }
            | Self::LockFile { .. }
            | Self::File { .. }
            | Self::Migration(_)
            | Self::Corrupt { .. }
            | Self::TimedOut
            | Self::Driver(_) => false,
        }
    }

    fn is_outage(&self) -> bool {
        match self {
            // Classes 08 (connection), 53 (out of something) and 57 (shut down, or too slow) pass; so
            // do a lock that was waited for too long, and a transaction that stood still too long.
            Self::Driver(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                code.len() == 5
                    && ["08", "53", "57", "55P03", "25P03"]
                        .iter()
                        .any(|class| code.starts_with(class))
            }),
            // A server that goes away during a greeting is taken for one that says nonsense.
            Self::Driver(error) => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Protocol(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
            ),
            Self::Collision | Self::TimedOut => true,
            Self::InUse { .. }
            | Self::LockFile { .. }
            | Self::File { .. }
            | Self::Migration(_)
            | Self::Corrupt { .. } => false,
        }
    }
}

/// PostgreSQL: serialization failure and deadlock. SQLite: SQLITE_BUSY and SQLITE_LOCKED, whose
/// extended codes carry more bits above.
fn is_collision(code: &str) -> bool {
    match code {
        "40001" | "40P01" => true,
        _ => {
            code.len() != 5
                && code
                    .parse::<u32>()
                    .is_ok_and(|code| matches!(code & 0xff, 5 | 6))
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        if error.is_outage() {
            Self::unavailable("the database", error)
        } else {
            Self::internal(error)
        }
    }
}
