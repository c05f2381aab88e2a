use proptest::prelude::*;

use super::{RunsOn, RunsOnError, Side, VersionBlocker, changes_major, check_path, is_downgrade};
use crate::catalog::Catalog;

fn new(runtime: Option<&str>, airflow: Option<&str>) -> Result<RunsOn, RunsOnError> {
    let runtime = runtime.map(|text| text.parse().unwrap());
    let airflow = airflow.map(|text| text.parse().unwrap());
    RunsOn::new(runtime, airflow, &Catalog::built_in())
}

/// A Runtime version, or a plain Airflow version after `airflow:`.
fn runs_on(text: &str) -> RunsOn {
    match text.strip_prefix("airflow:") {
        Some(airflow) => new(None, Some(airflow)).unwrap(),
        None => new(Some(text), None).unwrap(),
    }
}

fn path(now: &str, then: &str) -> &'static str {
    match check_path(&runs_on(now), &runs_on(then)) {
        Ok(()) => "allowed",
        Err(VersionBlocker::RuntimeUnsupported {
            side: Side::Now, ..
        }) => "unsupported now",
        Err(VersionBlocker::RuntimeUnsupported {
            side: Side::Then, ..
        }) => "unsupported then",
        Err(VersionBlocker::RuntimePathUnsupported { .. }) => "no path",
        Err(VersionBlocker::RuntimeUnknownVersion {
            side: Side::Now, ..
        }) => "unknown now",
        Err(VersionBlocker::RuntimeUnknownVersion {
            side: Side::Then, ..
        }) => "unknown then",
    }
}

#[test]
fn every_way_is_open_or_closed_as_the_table_says() {
    for (now, then, expected) in [
        // Airflow 3 → 3
        ("3.3-8", "3.1-2", "allowed"),
        ("3.1-2", "3.3-8", "allowed"),
        ("3.1-2", "3.1-2", "allowed"),
        ("3.10-1", "3.9-77", "allowed"),
        ("airflow:3.1.0", "3.1-2", "allowed"),
        ("3.2-1", "airflow:3.1.0", "allowed"),
        ("airflow:3.3.2", "airflow:3.1.0+astro.1", "allowed"),
        // Airflow 3 → 2
        ("3.1-2", "12.0.0", "allowed"),
        ("3.3-8", "12.12.0-base", "allowed"),
        ("3.3-8", "13.11.0", "allowed"),
        ("3.3-8", "13.99.0", "allowed"),
        ("airflow:3.1.0", "airflow:2.10.0", "allowed"),
        ("airflow:3.3.2", "airflow:2.11.2", "allowed"),
        ("3.3-8", "airflow:2.11.0", "allowed"),
        ("3.3-8", "11.12.0", "no path"),
        ("3.3-8", "12.0.0-rc1", "no path"),
        ("3.3-8", "5.0.0", "no path"),
        ("airflow:3.1.0", "airflow:2.9.3", "no path"),
        ("airflow:3.1.0", "airflow:2.10.0rc1", "no path"),
        // Airflow 2 → 2
        ("13.11.0", "5.0.0", "allowed"),
        ("5.0.0", "13.11.0", "allowed"),
        ("9.6.0", "9.5.0", "allowed"),
        ("airflow:2.11.2", "airflow:2.3.0", "allowed"),
        ("12.0.0", "airflow:2.3.0", "allowed"),
        // Airflow 2 → 3
        ("13.11.0", "3.1-2", "no path"),
        ("5.0.0", "3.3-8", "no path"),
        ("airflow:2.11.2", "airflow:3.1.0", "no path"),
        // too old
        ("4.2.9", "5.0.0", "unsupported now"),
        ("5.0.0", "4.2.9", "unsupported then"),
        ("5.0.0", "5.0.0-rc1", "unsupported then"),
        ("13.0.0", "3.0.0", "unsupported then"),
        ("0.0.0", "0.0.0", "unsupported now"),
        ("airflow:2.2.5", "airflow:2.2.5", "unsupported now"),
        ("airflow:2.3.0", "airflow:2.3.0rc1", "unsupported then"),
        ("airflow:2.3.0", "airflow:1.10.15", "unsupported then"),
        // the early versions of Airflow 3, never, not even between themselves
        ("3.0-1", "3.0-1", "unsupported now"),
        ("3.1-1", "3.1-2", "unsupported now"),
        ("3.1-2", "3.1-1", "unsupported then"),
        ("3.1-2", "3.1-2-rc1", "unsupported then"),
        ("3.1-2", "3.1-2-nightly20241216", "unsupported then"),
        ("3.0-18", "12.0.0", "unsupported now"),
        ("12.0.0", "3.0-18", "unsupported then"),
        ("3.0-1", "4.2.9", "unsupported now"),
        ("airflow:3.0.6", "airflow:2.10.5", "unsupported now"),
        ("airflow:3.1.0", "airflow:3.1.0rc1", "unsupported then"),
        ("airflow:3.1.0", "airflow:3.0.0", "unsupported then"),
        // series without a rule
        ("99.0.0", "13.0.0", "unknown now"),
        ("13.0.0", "14.0.0", "unknown then"),
        ("14.0.0", "14.0.0", "unknown now"),
        ("4.0-1", "3.3-8", "unknown now"),
        ("3.3-8", "2.11-1", "unknown then"),
        ("airflow:2.12.0", "airflow:2.11.0", "unknown now"),
        ("airflow:4.0.0", "airflow:3.3.2", "unknown now"),
        ("airflow:3.3.2", "airflow:4.0.0rc1", "unknown then"),
        // the definite reason comes first
        ("99.0.0", "3.0-1", "unsupported then"),
    ] {
        assert_eq!(path(now, then), expected, "{now} → {then}");
    }
}

#[test]
fn the_runtime_version_decides_where_both_are_known() {
    let early = new(Some("3.1-1"), Some("3.1.0")).unwrap();
    let supported = runs_on("3.1-2");
    assert!(matches!(
        check_path(&supported, &early),
        Err(VersionBlocker::RuntimeUnsupported {
            side: Side::Then,
            ..
        })
    ));
}

#[test]
fn a_blocker_says_why_and_what_to_do() {
    let text = |now, then| {
        check_path(&runs_on(now), &runs_on(then))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        text("3.1-2", "3.0-1"),
        "what would run after the rollback is Runtime 3.0-1 (Airflow 3.0.0), and with Airflow 3 no \
         rollback starts or ends below Runtime 3.1-2 (Airflow 3.1.0): make a new deploy instead"
    );
    assert_eq!(
        text("3.3-8", "11.0.0"),
        "there is no way back from Runtime 3.3-8 (Airflow 3.3.2) to Runtime 11.0.0 (Airflow 2.9.0), \
         because Airflow 3 can go back to Runtime 12 and 13 (Airflow 2.10 and 2.11) only: choose a \
         deploy with one of these, or make a new deploy"
    );
    assert_eq!(
        text("99.0.0", "13.0.0"),
        "what runs now is Runtime 99.0.0, whose series is not known to these rules: make a new \
         deploy instead, or use a release of Reprise that knows it"
    );
}

#[test]
fn both_versions_must_agree_by_catalog_or_series() {
    for (runtime, airflow) in [
        ("3.1-2", "3.1.0"),
        ("3.1-2-base", "3.1.0+astro.1"),
        ("9.17.0", "2.7.3"),
        ("12.5.0", "2.10.3"),
        ("3.1-12", "3.1.6"),
        ("3.9-1", "3.9.0"),
    ] {
        assert!(
            new(Some(runtime), Some(airflow)).is_ok(),
            "{runtime} with {airflow}"
        );
    }
    for (runtime, airflow, carried) in [
        ("3.1-2", "3.1.1", "3.1.0"),
        ("3.1-2", "3.1.0rc1", "3.1.0"),
        ("3.0.0", "3.0.0", "2.1"),
        ("12.5.0", "2.11.0", "2.10"),
        ("12.5.0", "3.10.0", "2.10"),
    ] {
        match new(Some(runtime), Some(airflow)) {
            Err(RunsOnError::Disagrees { expected, .. }) => assert_eq!(expected, carried),
            other => panic!("{runtime} with {airflow}: {other:?}"),
        }
    }
    assert!(matches!(
        new(Some("99.0.0"), Some("2.97.0")),
        Err(RunsOnError::Unverifiable { .. })
    ));
    assert_eq!(new(None, None), Err(RunsOnError::Missing));
}

#[test]
fn an_unknown_airflow_version_comes_from_the_catalog_and_never_from_arithmetic() {
    assert_eq!(
        runs_on("9.17.0").to_string(),
        "Runtime 9.17.0 (Airflow 2.7.3)"
    );
    let unlisted = runs_on("12.5.0");
    assert_eq!(unlisted.airflow(), None);
    assert_eq!(unlisted.airflow_series().unwrap().to_string(), "2.10");
    assert_eq!(unlisted.to_string(), "Runtime 12.5.0");
    assert_eq!(runs_on("99.0.0").airflow_series(), None);
}

#[test]
fn what_history_recorded_is_not_judged_again() {
    let catalog = Catalog::built_in();
    let runtime = Some("3.1-2".parse().unwrap());
    let recorded = RunsOn::recorded(runtime, Some("3.1.1".parse().unwrap()), &catalog).unwrap();
    assert_eq!(recorded.airflow().unwrap().as_str(), "3.1.1");
    assert_eq!(
        RunsOn::recorded(None, None, &catalog),
        Err(RunsOnError::Missing)
    );
}

#[test]
fn a_downgrade_is_what_is_below() {
    for (now, then, expected) in [
        ("3.3-10", "3.3-8", true),
        ("3.3-8", "3.3-10", false),
        ("3.3-8", "3.3-8-base", false),
        ("3.1-2", "13.0.0", true),
        ("9.10.0", "9.9.0", true),
        ("3.1-2", "3.1-2-rc1", true),
        ("airflow:3.1.0", "airflow:3.1.0rc1", true),
        ("airflow:2.10.5", "airflow:2.10.5+astro.1", false),
        ("3.1-9", "airflow:3.1.5", false),
        ("3.1-9", "airflow:3.1.4", true),
        ("airflow:3.1.4", "3.1-9", false),
        // the patch behind 12.5.0 is not known
        ("12.5.0", "airflow:2.10.5", true),
        ("airflow:2.10.0", "12.5.0", true),
        ("airflow:2.9.3", "12.5.0", false),
        ("12.5.0", "airflow:2.11.0", false),
        ("99.0.0", "airflow:2.11.0", true),
    ] {
        assert_eq!(
            is_downgrade(&runs_on(now), &runs_on(then)),
            expected,
            "{now} → {then}"
        );
    }
}

#[test]
fn the_major_is_that_of_airflow() {
    for (now, then, expected) in [
        ("3.1-2", "13.0.0", true),
        ("3.1-2", "airflow:2.11.0", true),
        ("3.1-2", "airflow:3.1.0", false),
        ("3.0.0", "3.0-1", true),
        ("99.0.0", "5.0.0", false),
        ("4.0-1", "3.3-8", true),
    ] {
        assert_eq!(
            changes_major(&runs_on(now), &runs_on(then)),
            expected,
            "{now} → {then}"
        );
    }
}

fn any_runs_on() -> impl Strategy<Value = RunsOn> {
    let runtime = "[0-9]{1,2}\\.[0-9]{1,2}[.-][0-9]{1,2}(-base|-rc1)?";
    let airflow = "[1-4]\\.[0-9]{1,2}\\.[0-9](rc1|\\+astro)?";
    (proptest::option::of(runtime), proptest::option::of(airflow)).prop_filter_map(
        "a version",
        |(runtime, airflow)| {
            let runtime = runtime.and_then(|text| text.parse().ok());
            let airflow = airflow.and_then(|text| text.parse().ok());
            RunsOn::recorded(runtime, airflow, &Catalog::built_in()).ok()
        },
    )
}

proptest! {
    #[test]
    fn no_pair_panics(now in any_runs_on(), then in any_runs_on()) {
        let _ = check_path(&now, &then).map_err(|blocker| blocker.to_string());
        let _ = (is_downgrade(&now, &then), changes_major(&now, &then));
    }

    #[test]
    fn what_may_stay_is_what_may_move(now in any_runs_on(), then in any_runs_on()) {
        if check_path(&now, &then).is_ok() {
            prop_assert!(check_path(&now, &now).is_ok());
            prop_assert!(check_path(&then, &then).is_ok());
        }
    }

    #[test]
    fn a_change_of_major_is_allowed_only_downwards(now in any_runs_on(), then in any_runs_on()) {
        let consistent = |runs_on: &RunsOn| match (runs_on.runtime(), runs_on.airflow()) {
            (Some(runtime), Some(airflow)) => runtime.airflow_series() == Some(airflow.series()),
            _ => true,
        };
        prop_assume!(consistent(&now) && consistent(&then));
        if check_path(&now, &then).is_ok() && changes_major(&now, &then) {
            prop_assert!(is_downgrade(&now, &then));
        }
    }
}
