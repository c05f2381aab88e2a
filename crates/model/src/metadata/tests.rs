use proptest::prelude::*;

use super::{HEADS, KNOWN_TO, Reverted, head_of, reverted};
use crate::catalog::Catalog;
use crate::compatibility::RunsOn;

fn runs_on(text: &str) -> RunsOn {
    let (runtime, airflow) = match text.strip_prefix("airflow:") {
        Some(airflow) => (None, Some(airflow.parse().unwrap())),
        None => (Some(text.parse().unwrap()), None),
    };
    RunsOn::new(runtime, airflow, &Catalog::built_in()).unwrap()
}

/// `certain` or `possible`, and the releases whose migrations are crossed.
fn words(reverted: &Reverted) -> String {
    let (word, heads) = match reverted {
        Reverted::None => return "none".to_owned(),
        Reverted::Certain(heads) => ("certain", heads),
        Reverted::Possible(heads) => ("possible", heads),
    };
    let heads: Vec<_> = heads
        .iter()
        .map(|head| head.airflow_from.to_string())
        .collect();
    format!("{word} {}", heads.join(" ")).trim().to_owned()
}

#[test]
fn every_release_has_the_head_that_its_migrations_say() {
    for (first, last, revision) in [
        ("2.3.0", "2.3.0", "b1b348e02d07"),
        ("2.3.1", "2.3.1", "1de7bc13c950"),
        ("2.3.2", "2.3.2", "3c94c427fdf6"),
        ("2.3.3", "2.3.4", "f5fcbda3e651"),
        ("2.4.0", "2.4.1", "ecb43d2a1842"),
        ("2.4.2", "2.4.2", "b0d31815b5a6"),
        ("2.4.3", "2.4.3", "e07f49787c9d"),
        ("2.5.0", "2.5.3", "290244fb8b83"),
        ("2.6.0", "2.6.1", "98ae134e6fff"),
        ("2.6.2", "2.6.3", "c804e5c76e3e"),
        ("2.7.0", "2.7.3", "405de8318b3a"),
        ("2.8.0", "2.8.0", "10b52ebd31f7"),
        ("2.8.1", "2.8.4", "88344c1d9134"),
        ("2.9.0", "2.9.1", "1949afb29106"),
        ("2.9.2", "2.9.3", "686269002441"),
        ("2.10.0", "2.10.2", "22ed7efa9da2"),
        ("2.10.3", "2.11.2", "5f2621c13b39"),
        ("3.0.0", "3.0.2", "29ce7909c52b"),
        ("3.0.3", "3.0.6", "fe199e1abd77"),
        ("3.1.0", "3.1.7", "cc92b33c6709"),
        ("3.1.8", "3.1.9", "509b94a1042d"),
        ("3.2.0", "3.2.2", "1d6611b6ab7c"),
        ("3.3.0", "3.3.2", "d2f4e1b3c5a7"),
    ] {
        for version in [first, last] {
            let head = head_of(&version.parse().unwrap()).unwrap();
            assert_eq!(head.revision, revision, "{version}");
        }
    }
    assert_eq!(HEADS.len(), 23);
}

#[test]
fn a_head_says_what_goes_with_its_migrations() {
    let loses = |version: &str| head_of(&version.parse().unwrap()).unwrap().loses;
    for (version, part) in [
        ("2.5.0", "notes on DAG runs"),
        ("2.10.0", "task_instance_history"),
        ("3.0.0", "_airflow_moved__3_0_0__offending_dag_run"),
        ("3.1.0", "human-in-the-loop details"),
        ("3.2.0", "asset watchers"),
        ("3.3.0", "task_state_store"),
    ] {
        assert!(
            loses(version).contains(part),
            "{version}: {}",
            loses(version)
        );
    }
    // Their migrations change indexes, constraints and types of columns, or nothing.
    let nothing = HEADS.iter().filter(|head| head.loses.is_empty());
    let nothing = nothing.map(|head| head.airflow_from.to_string());
    assert_eq!(
        nothing.collect::<Vec<_>>(),
        [
            "2.3.1", "2.3.2", "2.3.3", "2.4.2", "2.4.3", "2.6.0", "2.6.2", "2.8.1", "2.9.2",
            "2.10.3", "3.0.3", "3.1.8"
        ]
    );
}

#[test]
fn what_is_outside_the_table_has_no_known_head() {
    for version in ["2.2.5", "3.3.3", "3.4.0", "4.0.0", "3.1.0rc1"] {
        assert_eq!(head_of(&version.parse().unwrap()), None, "{version}");
    }
}

#[test]
fn heads_are_in_order_and_differ() {
    for pair in HEADS.windows(2) {
        assert!(pair[0].airflow_from < pair[1].airflow_from);
        assert!(
            HEADS
                .iter()
                .filter(|head| head.revision == pair[0].revision)
                .count()
                == 1
        );
    }
    assert!(HEADS[HEADS.len() - 1].airflow_from <= KNOWN_TO);
}

#[test]
fn a_rollback_reverts_the_heads_that_it_crosses() {
    for (now, then, expected) in [
        // the same head
        ("3.1-9", "3.1-8", "none"),
        ("13.11.0", "12.12.0", "none"),
        ("3.3-8", "3.3-1", "none"),
        ("airflow:2.11.2", "airflow:2.10.3", "none"),
        // no downgrade
        ("3.1-2", "3.3-8", "none"),
        ("5.0.0", "13.0.0", "none"),
        ("12.3.0", "12.5.0", "none"),
        // certain
        ("3.1-17", "3.1-9", "certain 3.1.8"),
        ("3.2-1", "3.1-2", "certain 3.2.0 3.1.8"),
        ("3.1-2", "13.11.0", "certain 3.1.0 3.0.3 3.0.0"),
        ("3.1-2", "12.0.0", "certain 3.1.0 3.0.3 3.0.0 2.10.3"),
        (
            "airflow:2.3.4",
            "airflow:2.3.0",
            "certain 2.3.3 2.3.2 2.3.1",
        ),
        ("airflow:2.3.0", "airflow:2.2.5", "certain 2.3.0"),
        // a patch is not known
        ("12.5.0", "12.3.0", "possible 2.10.3"),
        ("12.5.0", "12.0.0", "possible 2.10.3"),
        ("12.12.0", "12.5.0", "possible 2.10.3"),
        ("13.1.0", "13.0.0", "none"),
        ("13.0.0", "12.5.0", "possible 2.10.3"),
        ("3.2-5", "3.1-12", "certain 3.2.0 3.1.8"),
        ("3.1-17", "3.1-12", "possible 3.1.8"),
        ("3.1-2", "12.5.0", "certain 3.1.0 3.0.3 3.0.0 2.10.3"),
        ("airflow:2.10.5", "12.5.0", "possible 2.10.3"),
        ("airflow:2.10.2", "12.5.0", "none"),
        // a pre-release lies between two heads
        ("airflow:3.2.0", "airflow:3.2.0rc1", "possible 3.2.0"),
        ("airflow:3.2.0rc1", "airflow:3.1.8", "possible 3.2.0"),
        ("airflow:3.2.0rc1", "airflow:3.1.0", "certain 3.2.0 3.1.8"),
        // beyond what is known
        ("airflow:3.4.0", "airflow:3.3.2", "possible"),
        ("airflow:3.3.3", "airflow:3.3.0", "possible"),
        ("airflow:3.4.0", "airflow:3.2.0", "certain 3.3.0"),
        ("airflow:3.4.0", "airflow:3.4.0", "none"),
        ("3.3-9", "3.3-8", "possible"),
        (
            "99.0.0",
            "airflow:2.11.0",
            "possible 3.3.0 3.2.0 3.1.8 3.1.0 3.0.3 3.0.0",
        ),
    ] {
        assert_eq!(
            words(&reverted(&runs_on(now), &runs_on(then))),
            expected,
            "{now} → {then}"
        );
    }
}

#[test]
fn two_runtime_versions_with_one_airflow_version_share_its_head() {
    let with = |runtime: &str| {
        let airflow = Some("3.4.0".parse().unwrap());
        RunsOn::new(
            Some(runtime.parse().unwrap()),
            airflow,
            &Catalog::built_in(),
        )
        .unwrap()
    };
    assert_eq!(reverted(&with("3.4-2"), &with("3.4-1")), Reverted::None);
}

proptest! {
    #[test]
    fn known_releases_revert_exactly_when_their_heads_differ_downwards(
        now in (2..=3_u32, 0..=11_u32, 0..=9_u32),
        then in (2..=3_u32, 0..=11_u32, 0..=9_u32),
    ) {
        let text = |(major, minor, patch)| format!("{major}.{minor}.{patch}");
        let head = |version| head_of(&text(version).parse().unwrap());
        let (Some(head_now), Some(head_then)) = (head(now), head(then)) else {
            return Ok(());
        };
        let found =
            reverted(&runs_on(&format!("airflow:{}", text(now))), &runs_on(&format!("airflow:{}", text(then))));
        if now <= then || head_now == head_then {
            prop_assert_eq!(found, Reverted::None);
        } else {
            let Reverted::Certain(heads) = found else { panic!("{now:?} → {then:?}: {found:?}") };
            prop_assert_eq!(heads.first(), Some(&head_now));
            prop_assert!(!heads.contains(&head_then));
        }
    }

    #[test]
    fn no_pair_panics(
        now in "[0-9]{1,2}\\.[0-9]{1,2}[.-][0-9]{1,2}",
        then in "[0-9]{1,2}\\.[0-9]{1,2}[.-][0-9]{1,2}",
    ) {
        if now.parse::<crate::RuntimeVersion>().is_ok() && then.parse::<crate::RuntimeVersion>().is_ok() {
            let _ = reverted(&runs_on(&now), &runs_on(&then));
        }
    }
}
