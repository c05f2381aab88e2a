//! Astro Runtime and Apache Airflow versions.
//!
//! Runtime has two schemes. `MAJOR.MINOR.PATCH` (`3.0.0` to `13.x`) carries Airflow 2, and its
//! major M is Airflow's series 2.(M−2). `X.Y-Z` (`3.0-1` on) carries Airflow 3: X.Y is Airflow's
//! series and Z is Runtime's own patch. Only the separator tells Runtime `3.0.0` of 2021 from
//! `3.0-1` of 2025. The patch of Airflow follows from neither: it comes from the
//! [catalog](crate::catalog) or from whoever reports a deploy.
//!
//! # Suffixes
//!
//! A suffix is made of words and numbers, separated by periods, hyphens or underscores. `alpha`,
//! `beta`, `rc`, `dev` and `nightly`, with an optional number, mark a pre-release, which lies below
//! its release. Everything else (`base`, `python-3.12`) is a variant: the same version, built
//! another way. A leading `v` is no part of a version. Apache Airflow's own versions are written as
//! Python does (`3.1.0rc1`, `2.7.1+astro.1`), with `a` and `b` for alpha and beta.
//!
//! # Order
//!
//! `Ord` is total and agrees with `Eq`: the scheme first (any `X.Y-Z` above any
//! `MAJOR.MINOR.PATCH`), then the numbers, then the pre-release, and last the text, so that a
//! variant and its plain version are neighbours but not equal. Rules ignore variants: they use
//! [`RuntimeVersion::release_cmp`] and [`AirflowVersion::release_cmp`].

mod airflow;
mod error;
mod parse;
#[cfg(test)]
mod tests;
mod version;

pub use airflow::{AirflowRelease, AirflowSeries, AirflowVersion};
pub use error::VersionError;
pub use version::RuntimeVersion;

pub(crate) use version::{RuntimeRelease, Scheme};
