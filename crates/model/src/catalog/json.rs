//! The vendor's file.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use super::built_in::YANKED;
use super::{Catalog, Restriction, Row};
use crate::runtime::{AirflowVersion, RuntimeRelease, RuntimeVersion};

/// A file that is no catalog.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// Not JSON, or of another shape.
    #[error(
        "the catalog is not JSON with the maps runtimeVersions and runtimeVersionsV3 from a \
         Runtime version to its metadata"
    )]
    Format(#[source] serde_json::Error),
    /// Not one entry can be used.
    #[error(
        "the catalog lists no Runtime version with its airflowVersion: give the vendor's whole \
         file, or none to use the built-in catalog"
    )]
    Empty,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    runtime_versions: BTreeMap<String, Entry>,
    #[serde(default, rename = "runtimeVersionsV3")]
    runtime_versions_v3: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    metadata: Option<Metadata>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    airflow_version: Option<String>,
    yanked: Option<bool>,
    yanked_reason: Option<String>,
}

pub(super) fn catalog(text: &str) -> Result<Catalog, CatalogError> {
    let File {
        runtime_versions,
        runtime_versions_v3,
    } = serde_json::from_str(text).map_err(CatalogError::Format)?;

    let mut rows = BTreeMap::new();
    let mut skipped = Vec::new();
    for (version, entry) in runtime_versions.into_iter().chain(runtime_versions_v3) {
        match row(&version, entry.metadata.unwrap_or_default()) {
            Some((release, row)) => {
                // A plain version sorts before its variants, and speaks for them.
                rows.entry(release).or_insert(row);
            }
            None => skipped.push(version),
        }
    }
    if rows.is_empty() {
        return Err(CatalogError::Empty);
    }
    Ok(Catalog { rows, skipped })
}

fn row(version: &str, metadata: Metadata) -> Option<(RuntimeRelease, Row)> {
    let Metadata {
        airflow_version,
        yanked,
        yanked_reason,
    } = metadata;
    let release = version.parse::<RuntimeVersion>().ok()?.release();
    let airflow = airflow_version?.parse::<AirflowVersion>().ok()?;
    let restricted = yanked.unwrap_or_default().then(|| Restriction {
        first: release,
        last: release,
        reason: yanked_reason
            .filter(|reason| !reason.is_empty())
            .unwrap_or_else(|| YANKED.into()),
    });
    Some((
        release,
        Row {
            last: release,
            airflow,
            restricted: restricted.into_iter().collect(),
        },
    ))
}
