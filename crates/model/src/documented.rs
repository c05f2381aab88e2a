//! Checks that `VERSIONS.md` says what the code does.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::catalog::Catalog;
use crate::compatibility::{RunsOn, VersionBlocker, check_path};
use crate::metadata::{HEADS, KNOWN_TO};
use crate::runtime::{AirflowVersion, RuntimeVersion, Scheme};

const PAGE: &str = include_str!("../../../VERSIONS.md");

/// The rows of the table that follows a heading, the first one included.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = PAGE.split_once(&format!("## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let cells = |line: &'static str| {
        let line = line.trim_matches('|');
        line.split('|').map(str::trim).collect::<Vec<_>>()
    };
    rows.map(cells)
        .filter(|row| !row[0].starts_with("---"))
        .collect()
}

/// A version as the page compares it: by order, or by its first numbers.
trait Version: std::str::FromStr<Err: std::fmt::Debug> {
    fn numbers(&self) -> Vec<u32>;
    fn order(&self, other: &Self) -> Ordering;
    fn same_scheme(&self, other: &str) -> bool;
}

impl Version for RuntimeVersion {
    fn numbers(&self) -> Vec<u32> {
        let release = self.release();
        vec![release.major, release.minor, release.patch]
    }

    fn order(&self, other: &Self) -> Ordering {
        self.release_cmp(other)
    }

    fn same_scheme(&self, other: &str) -> bool {
        (self.release().scheme == Scheme::New) == other.contains('-')
    }
}

impl Version for AirflowVersion {
    fn numbers(&self) -> Vec<u32> {
        let release = self.release();
        vec![release.major, release.minor, release.patch]
    }

    fn order(&self, other: &Self) -> Ordering {
        self.release_cmp(other)
    }

    fn same_scheme(&self, _other: &str) -> bool {
        true
    }
}

/// Whether a range of the page, such as `5.0.0 to below 12.0.0` or `12.0.0 to 13.x`, has a version.
fn covers<V: Version>(range: &str, version: &V) -> bool {
    let exact = |bound: &str| version.order(&bound.parse::<V>().unwrap());
    // `3.0-x`, `13.x`: by the numbers before it.
    let series = |bound: &str| {
        let wanted = bound.strip_suffix('x')?;
        let numbers = wanted.trim_end_matches(['.', '-']).split('.');
        let numbers = numbers
            .map(|number| number.parse().unwrap())
            .collect::<Vec<u32>>();
        Some(version.numbers()[..numbers.len()].cmp(&numbers[..]))
    };
    if let Some(bound) = range.strip_prefix("below ") {
        return exact(bound).is_lt();
    }
    let (from, to) = range.split_once(" to ").unwrap();
    let above = series(from).unwrap_or_else(|| exact(from)).is_ge();
    let below = match to.strip_prefix("below ") {
        Some(bound) => exact(bound).is_lt(),
        None => series(to).unwrap().is_le(),
    };
    version.same_scheme(from) && above && below
}

/// The group of a version by the page.
fn group(version: &RunsOn) -> &'static str {
    let rows = table("Groups");
    let (others, rows) = rows[1..].split_last().unwrap();
    assert_eq!(others[1..], ["all others"; 2]);
    let found = rows
        .iter()
        .filter(|row| match (version.runtime(), version.airflow()) {
            (Some(runtime), _) => covers(row[1], runtime),
            (None, Some(airflow)) => covers(row[2], airflow),
            (None, None) => false,
        });
    match found.map(|row| row[0]).collect::<Vec<_>>()[..] {
        [] => others[0],
        [one] => one,
        ref several => panic!("{version} is in {several:?}"),
    }
}

/// Versions of every kind and around every bound, with a Runtime and without.
fn versions() -> Vec<RunsOn> {
    let mut texts = Vec::new();
    for major in 0..=16 {
        for minor in [0, 3, 11] {
            for patch in [0, 1] {
                texts.push(format!("{major}.{minor}.{patch}"));
            }
        }
    }
    for series in ["2.10", "2.11", "3.0", "3.1", "3.2", "3.10", "4.0", "99.0"] {
        for patch in [0, 1, 2, 3, 17] {
            texts.push(format!("{series}-{patch}"));
        }
    }
    for series in 0..=13 {
        for major in 1..=4 {
            texts.push(format!("airflow:{major}.{series}.0"));
            texts.push(format!("airflow:{major}.{series}.7"));
        }
    }
    let suffixed = texts.clone();
    let suffixed = suffixed.iter().flat_map(|text| {
        let (pre_release, variant) = match text.starts_with("airflow:") {
            true => ("rc1", "+astro.1"),
            false => ("-rc1", "-base"),
        };
        [format!("{text}{pre_release}"), format!("{text}{variant}")]
    });
    texts.extend(suffixed);
    let catalog = Catalog::built_in();
    let runs_on = |text: &String| match text.strip_prefix("airflow:") {
        Some(airflow) => RunsOn::new(None, Some(airflow.parse().unwrap()), &catalog).unwrap(),
        None => RunsOn::new(Some(text.parse().unwrap()), None, &catalog).unwrap(),
    };
    texts.iter().map(runs_on).collect()
}

fn outcome(now: &RunsOn, then: &RunsOn) -> &'static str {
    match check_path(now, then) {
        Ok(()) => "yes",
        Err(VersionBlocker::RuntimeUnsupported { .. }) => "RUNTIME_UNSUPPORTED",
        Err(VersionBlocker::RuntimePathUnsupported { .. }) => "RUNTIME_PATH_UNSUPPORTED",
        Err(VersionBlocker::RuntimeUnknownVersion { .. }) => "RUNTIME_UNKNOWN_VERSION",
    }
}

#[test]
fn every_pair_of_versions_is_allowed_or_blocked_as_the_page_says() {
    let rows = table("Now and then");
    let (columns, rows) = rows.split_first().unwrap();
    let cells = rows.iter().flat_map(|row| {
        let cells = columns.iter().zip(row).skip(1);
        cells.map(|(then, outcome)| ((row[0], *then), *outcome))
    });
    let cells = cells.collect::<BTreeMap<_, _>>();

    let versions = versions();
    let grouped = versions.iter().map(|version| (group(version), version));
    let grouped = grouped.collect::<Vec<_>>();
    let mut seen = BTreeMap::new();
    for (from, now) in &grouped {
        for (to, then) in &grouped {
            let told = cells[&(*from, *to)];
            assert_eq!(outcome(now, then), told, "{now} ({from}) to {then} ({to})");
            *seen.entry((*from, *to)).or_insert(0) += 1;
        }
    }
    // No cell is there for nothing, and each is tried with many versions.
    assert_eq!(seen.len(), cells.len());
    assert!(seen.values().all(|tried| *tried > 20), "{seen:?}");
}

#[test]
fn restricted_builds_are_those_of_the_built_in_catalog() {
    let catalog = Catalog::built_in();
    let rows = table("Restricted builds");
    let told = |version: &RuntimeVersion| {
        let row = rows[1..].iter().find(|row| {
            let (first, last) = row[0].split_once(" to ").unwrap_or((row[0], row[0]));
            let at_least = version.release_cmp(&first.parse().unwrap()).is_ge();
            at_least && version.release_cmp(&last.parse().unwrap()).is_le()
        });
        row.map(|row| row[1].to_owned())
    };
    let old = (5..=13).flat_map(|major| (0..=20).map(move |minor| (major, minor)));
    let old =
        old.flat_map(|(major, minor)| (0..=9).map(move |patch| format!("{major}.{minor}.{patch}")));
    let new = (0..=4).flat_map(|minor| (0..=30).map(move |patch| format!("3.{minor}-{patch}")));
    let mut restricted = 0;
    for text in old.chain(new) {
        let version = text.parse::<RuntimeVersion>().unwrap();
        // What is not in the catalog cannot be restricted by it.
        if let Some(entry) = catalog.lookup(&version) {
            assert_eq!(entry.restricted, told(&version), "{text}");
            restricted += usize::from(entry.restricted.is_some());
        }
    }
    assert!(restricted >= rows.len() - 1);
}

#[test]
fn heads_and_what_they_lose_are_those_of_the_code() {
    let rows = table("What going down loses");
    let told = rows[1..].iter().map(|row| row.join(" | "));
    let heads = HEADS.iter().map(|head| {
        let loses = if head.loses.is_empty() {
            "no data"
        } else {
            head.loses
        };
        format!("{} | `{}` | {loses}", head.airflow_from, head.revision)
    });
    assert_eq!(told.collect::<Vec<_>>(), heads.collect::<Vec<_>>());
    assert!(PAGE.contains(&format!("Airflow {KNOWN_TO}")));
}
