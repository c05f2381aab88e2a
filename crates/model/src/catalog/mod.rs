//! Which Airflow version an Astro Runtime version carries, and which Runtime versions are
//! restricted.
//!
//! [`Catalog::built_in`] holds what the Astro Runtime catalog said when this was written. An operator
//! can give a newer file in the vendor's own format, which [`Catalog::from_json`] reads; it then
//! stands alone.

mod built_in;
mod json;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::runtime::{AirflowVersion, RuntimeRelease, RuntimeVersion};

pub use json::CatalogError;

/// What the catalog says of one Runtime version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// The Airflow version that it carries, patch included.
    pub airflow: AirflowVersion,
    /// Why the vendor took the version back, if so. A rollback to it is allowed, with a warning.
    pub restricted: Option<String>,
}

/// A table of Runtime versions.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// Ranges that do not overlap, by their first version.
    rows: BTreeMap<RuntimeRelease, Row>,
    skipped: Vec<String>,
}

#[derive(Clone, Debug)]
struct Row {
    last: RuntimeRelease,
    airflow: AirflowVersion,
    /// Ranges inside the row, with their reasons.
    restricted: Vec<Restriction>,
}

#[derive(Clone, Debug)]
struct Restriction {
    first: RuntimeRelease,
    last: RuntimeRelease,
    reason: String,
}

impl Catalog {
    /// The catalog that Reprise ships with.
    #[must_use]
    pub fn built_in() -> Self {
        built_in::catalog()
    }

    /// Reads the vendor's file: `{"runtimeVersions": {"9.1.0": {"metadata": {"airflowVersion":
    /// "2.7.1", "yanked": true, "yankedReason": "…"}}}, "runtimeVersionsV3": {"3.2-1": {…}}}`.
    ///
    /// Unknown fields are ignored. An entry whose versions cannot be read is left out, and named by
    /// [`Catalog::skipped`].
    ///
    /// # Errors
    ///
    /// If the text is not JSON of that shape, or no entry can be read.
    pub fn from_json(text: &str) -> Result<Self, CatalogError> {
        json::catalog(text)
    }

    /// What the catalog says of a version. A variant is looked up as its plain version; a
    /// pre-release is found only if it is listed itself.
    #[must_use]
    pub fn lookup(&self, version: &RuntimeVersion) -> Option<CatalogEntry> {
        let release = version.release();
        let (_, row) = self.rows.range(..=release).next_back()?;
        if release > row.last {
            return None;
        }
        let restricted = row
            .restricted
            .iter()
            .find(|restriction| (restriction.first..=restriction.last).contains(&release))
            .map(|restriction| restriction.reason.clone());
        Some(CatalogEntry {
            airflow: row.airflow.clone(),
            restricted,
        })
    }

    /// The entries of a file that could not be read, for a log.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}
