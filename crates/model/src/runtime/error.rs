use thiserror::Error;

/// A text that is no version. It is refused when it is recorded, never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VersionError {
    /// Longer than any version is.
    #[error("a version has at most 64 characters")]
    TooLong,
    /// Not the numbers of a Runtime version.
    #[error(
        "a Runtime version is MAJOR.MINOR.PATCH as in 12.1.0, or X.Y-Z as in 3.1-2, with no leading \
         zeros and an optional suffix as in -base"
    )]
    Runtime,
    /// Not the numbers of an Airflow version.
    #[error(
        "an Airflow version is MAJOR.MINOR.PATCH as in 2.10.5, with no leading zeros and an \
         optional suffix as in rc1"
    )]
    Airflow,
    /// A number that is too large.
    #[error("a number of a version is at most 4294967295")]
    Number,
    /// Not a suffix.
    #[error(
        "the suffix of a version starts with a letter and has letters and digits, with single \
         separators between them"
    )]
    Suffix,
}
