use proptest::prelude::*;

use super::{Catalog, CatalogEntry, CatalogError};
use crate::runtime::RuntimeVersion;

/// The known points, first and last of each range, as the Astro Runtime catalog has them.
const KNOWN: &str = "
    5.0.0 5.0.1 2.3.0     5.0.2 5.0.2 2.3.1     5.0.3 5.0.5 2.3.2     5.0.6 5.0.7 2.3.3
    5.0.8 5.5.0 2.3.4     6.0.0 6.0.1 2.4.0     6.0.2 6.0.2 2.4.1     6.0.3 6.0.3 2.4.2
    6.0.4 6.10.0 2.4.3    7.0.0 7.1.0 2.5.0     7.2.0 7.3.0 2.5.1     7.4.0 7.4.1 2.5.2
    7.4.2 7.6.0 2.5.3     8.0.0 8.1.0 2.6.0     8.2.0 8.4.0 2.6.1     8.5.0 8.6.0 2.6.2
    8.7.0 8.10.0 2.6.3    9.0.0 9.0.0 2.7.0     9.1.0 9.1.0 2.7.1     9.2.0 9.4.0 2.7.2
    9.5.0 9.17.0 2.7.3    10.0.0 10.1.0 2.8.0   10.2.0 10.3.0 2.8.1   10.4.0 10.4.0 2.8.2
    10.5.0 10.5.0 2.8.3   10.6.0 10.9.0 2.8.4   11.0.0 11.2.0 2.9.0   11.3.0 11.4.0 2.9.1
    11.5.0 11.6.0 2.9.2   11.7.0 11.12.0 2.9.3  12.0.0 12.0.0 2.10.0  12.12.0 12.12.0 2.10.5
    13.0.0 13.0.0 2.11.0  13.5.0 13.5.0 2.11.1  13.9.0 13.11.0 2.11.2 3.0-1 3.0-1 3.0.0
    3.0-2 3.0-3 3.0.1     3.0-10 3.0-18 3.0.6   3.1-2 3.1-2 3.1.0     3.1-8 3.1-8 3.1.4
    3.1-9 3.1-9 3.1.5     3.1-17 3.1-17 3.1.8   3.1-21 3.1-21 3.1.8   3.2-1 3.2-2 3.2.0
    3.2-10 3.2-10 3.2.2   3.3-1 3.3-2 3.3.0     3.3-7 3.3-7 3.3.1     3.3-8 3.3-8 3.3.2
";

fn lookup(catalog: &Catalog, text: &str) -> Option<CatalogEntry> {
    let version: RuntimeVersion = text
        .parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    catalog.lookup(&version)
}

fn airflow(catalog: &Catalog, text: &str) -> Option<String> {
    lookup(catalog, text).map(|entry| entry.airflow.to_string())
}

#[test]
fn every_known_point_is_in_the_built_in_catalog() {
    let catalog = Catalog::built_in();
    let words: Vec<_> = KNOWN.split_whitespace().collect();
    for row in words.chunks(3) {
        assert_eq!(
            airflow(&catalog, row[0]).as_deref(),
            Some(row[2]),
            "{}",
            row[0]
        );
        assert_eq!(
            airflow(&catalog, row[1]).as_deref(),
            Some(row[2]),
            "{}",
            row[1]
        );
    }
    assert_eq!(catalog.rows.len(), words.len() / 3);
    assert!(catalog.skipped().is_empty());
}

#[test]
fn the_rows_of_the_built_in_catalog_do_not_overlap() {
    let catalog = Catalog::built_in();
    for (first, row) in &catalog.rows {
        assert!(*first <= row.last);
    }
    for (row, (next, _)) in catalog.rows.values().zip(catalog.rows.iter().skip(1)) {
        assert!(row.last < *next);
    }
}

#[test]
fn every_known_airflow_version_is_of_the_series_that_its_runtime_version_says() {
    let catalog = Catalog::built_in();
    for version in KNOWN
        .split_whitespace()
        .collect::<Vec<_>>()
        .chunks(3)
        .map(|row| row[0])
    {
        let version: RuntimeVersion = version.parse().unwrap();
        let entry = catalog.lookup(&version).unwrap();
        assert_eq!(
            version.airflow_series(),
            Some(entry.airflow.series()),
            "{version}"
        );
    }
}

#[test]
fn what_is_not_listed_is_not_known() {
    let catalog = Catalog::built_in();
    for text in [
        "3.0.0",
        "4.2.9",
        "12.5.0",
        "13.1.0",
        "13.12.0",
        "99.0.0",
        "3.0-4",
        "3.0-9",
        "3.0-19",
        "3.1-1",
        "3.1-3",
        "3.1-18",
        "3.3-9",
        "4.0-1",
        "12.0.0-rc1",
        "3.1-2-nightly20241216",
    ] {
        assert_eq!(airflow(&catalog, text), None, "{text}");
    }
}

#[test]
fn a_variant_is_found_as_its_plain_version() {
    let catalog = Catalog::built_in();
    for text in ["3.1-2-base", "v3.1-2", "3.1-2-python-3.12-base"] {
        assert_eq!(airflow(&catalog, text).as_deref(), Some("3.1.0"), "{text}");
    }
}

#[test]
fn what_the_vendor_took_back_is_restricted() {
    let catalog = Catalog::built_in();
    let restricted = |text| lookup(&catalog, text).unwrap().restricted.is_some();
    for text in [
        "8.0.0",
        "9.0.0",
        "9.1.0",
        "9.2.0",
        "9.4.0",
        "9.5.0",
        "9.6.0",
        "11.0.0",
        "11.1.0",
        "13.5.0",
        "3.1-8",
        "3.2-1",
        "3.2-1-base",
    ] {
        assert!(restricted(text), "{text}");
    }
    for text in [
        "5.0.0", "8.0.1", "8.1.0", "9.6.1", "9.7.0", "9.17.0", "11.1.1", "11.2.0", "13.0.0",
        "13.9.0", "3.1-9", "3.2-2",
    ] {
        assert!(!restricted(text), "{text}");
    }
}

const FILE: &str = r#"{
    "schemaVersion": "1.8",
    "somethingNew": [1, 2],
    "runtimeVersions": {
        "9.1.0": {
            "metadata": {
                "airflowVersion": "2.7.1", "channel": "deprecated", "releaseDate": "2023-09-07",
                "yanked": true, "yankedReason": "a bug in the scheduler"
            },
            "migrations": {"airflowDatabase": false}
        },
        "9.2.0": {"metadata": {"airflowVersion": "2.7.2", "yanked": true}},
        "9.3.0": {"metadata": {"airflowVersion": "2.7.2", "yanked": false, "yankedReason": "no"}},
        "latest": {"metadata": {"airflowVersion": "2.7.2"}},
        "9.9.0": {}
    },
    "runtimeVersionsV3": {
        "3.4-1": {"metadata": {"airflowVersion": "3.4.0", "yanked": null}},
        "3.4-1-base": {"metadata": {"airflowVersion": "3.4.7"}},
        "3.5-1-alpha1": {"metadata": {"airflowVersion": "3.5.0b1"}}
    }
}"#;

#[test]
fn the_vendors_file_is_read() {
    let catalog = Catalog::from_json(FILE).unwrap();
    assert_eq!(airflow(&catalog, "9.1.0").as_deref(), Some("2.7.1"));
    assert_eq!(
        lookup(&catalog, "9.1.0").unwrap().restricted.as_deref(),
        Some("a bug in the scheduler")
    );
    assert!(lookup(&catalog, "9.2.0").unwrap().restricted.is_some());
    assert_eq!(lookup(&catalog, "9.3.0").unwrap().restricted, None);
    assert_eq!(airflow(&catalog, "3.4-1").as_deref(), Some("3.4.0"));
    assert_eq!(airflow(&catalog, "3.4-1-base").as_deref(), Some("3.4.0"));
    assert_eq!(
        airflow(&catalog, "3.5-1-alpha1").as_deref(),
        Some("3.5.0b1")
    );
    assert_eq!(airflow(&catalog, "3.5-1"), None);
    assert_eq!(airflow(&catalog, "9.1.1"), None);
    assert_eq!(airflow(&catalog, "5.0.0"), None, "the file stands alone");
    assert_eq!(catalog.skipped(), ["9.9.0", "latest"]);
}

#[test]
fn a_file_without_one_usable_version_is_refused() {
    for text in [
        "{}",
        r#"{"runtimeVersions": {}, "runtimeVersionsV3": {}}"#,
        r#"{"runtimeVersions": {"9.1.0": {"metadata": {"airflowVersion": "two"}}}}"#,
    ] {
        assert!(
            matches!(Catalog::from_json(text), Err(CatalogError::Empty)),
            "{text}"
        );
    }
    for text in [
        "",
        "null",
        "[",
        r#"{"runtimeVersions": []}"#,
        r#"{"runtimeVersions": "#,
    ] {
        assert!(
            matches!(Catalog::from_json(text), Err(CatalogError::Format(_))),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn no_file_panics(text in prop_oneof![any::<String>(), "[{}\\[\\]\":,a-z0-9 ]{0,60}"]) {
        let _ = Catalog::from_json(&text);
    }
}
