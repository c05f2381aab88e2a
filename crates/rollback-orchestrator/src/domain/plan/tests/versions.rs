//! What versions lead to: warnings, losses and blockers.

use super::*;
use crate::domain::warning::{Certainty, Migrations};

/// The migrations that are reverted, and how surely.
type Lost<'a> = Option<(Certainty, Vec<&'a str>)>;

fn migrations(plan: &Plan) -> Option<(Certainty, Vec<&'static str>)> {
    let warning = plan
        .warnings
        .iter()
        .find(|w| w.code == WarningCode::MetadataLoss)?;
    let Migrations { certainty, heads } = warning.migrations.clone().unwrap();
    Some((
        certainty,
        heads.into_iter().map(|head| head.revision).collect(),
    ))
}

#[test]
fn versions_decide_the_warnings_that_must_be_acknowledged() {
    use WarningCode::{
        DagsMayNotFit, MajorVersionChange, MetadataLoss, RuntimeDowngrade, RuntimeRestricted,
    };
    let certain = |heads: &[&'static str]| Some((Certainty::Certain, heads.to_vec()));
    let cases: &[(&str, &str, &[WarningCode], Lost<'_>)] = &[
        // The same version, and a newer one.
        ("3.1-9", "3.1-9", &[], None),
        ("3.1-2", "3.1-9", &[], None),
        // Downgrades that share a head lose nothing.
        ("3.1-9", "3.1-2", &[RuntimeDowngrade], None),
        ("12.12.0", "12.12.0", &[], None),
        // Downgrades that cross heads.
        (
            "3.2-2",
            "3.1-9",
            &[RuntimeDowngrade, MetadataLoss],
            certain(&["1d6611b6ab7c", "509b94a1042d"]),
        ),
        (
            "13.0.0",
            "12.0.0",
            &[RuntimeDowngrade, MetadataLoss],
            certain(&["5f2621c13b39"]),
        ),
        // From Airflow 3 to Airflow 2.
        (
            "3.1-9",
            "13.0.0",
            &[RuntimeDowngrade, MetadataLoss, MajorVersionChange],
            certain(&["cc92b33c6709", "fe199e1abd77", "29ce7909c52b"]),
        ),
        // The patch of 3.1-5 is not known: 509b94a1042d came with Airflow 3.1.8.
        (
            "3.1-17",
            "3.1-5",
            &[RuntimeDowngrade, MetadataLoss],
            Some((Certainty::Possible, vec!["509b94a1042d"])),
        ),
        // Withdrawn by the vendor.
        (
            "3.1-9",
            "3.1-8",
            &[RuntimeDowngrade, RuntimeRestricted],
            None,
        ),
        ("13.5.0", "13.5.0", &[RuntimeRestricted], None),
    ];
    for (now, then, expected, lost) in cases {
        let plan = plan(between(revision_on(now), revision_on(then)));
        assert_eq!(codes(&plan), *expected, "{now} to {then}");
        assert_eq!(migrations(&plan), *lost, "{now} to {then}");
        assert_eq!(plan.blockers, [], "{now} to {then}");
        let must = plan.must_acknowledge().collect::<Vec<_>>();
        let expected = expected
            .iter()
            .copied()
            .filter(|code| {
                [
                    RuntimeDowngrade,
                    MetadataLoss,
                    MajorVersionChange,
                    DagsMayNotFit,
                ]
                .contains(code)
            })
            .collect::<Vec<_>>();
        assert_eq!(must, expected, "{now} to {then}");
    }
}

#[test]
fn a_loss_that_is_only_possible_or_of_no_data_is_less_severe() {
    let certain = plan(between(revision_on("3.2-2"), revision_on("3.1-9")));
    assert_eq!(
        warning(&certain, WarningCode::MetadataLoss).severity,
        Severity::Critical
    );
    // The head of Airflow 3.1.8 adds an index, and widens a column.
    let lossless = plan(between(revision_on("3.1-17"), revision_on("3.1-9")));
    let warned = warning(&lossless, WarningCode::MetadataLoss);
    assert_eq!(warned.severity, Severity::Warning);
    assert!(warned.text.contains("no data"), "{}", warned.text);
    let possible = plan(between(revision_on("3.1-17"), revision_on("3.1-5")));
    assert_eq!(
        warning(&possible, WarningCode::MetadataLoss).severity,
        Severity::Warning
    );
}

#[test]
fn a_major_version_change_says_what_is_lost() {
    let plan = plan(between(revision_on("3.1-9"), revision_on("12.12.0")));
    let text = &warning(&plan, WarningCode::MetadataLoss).text;
    assert!(text.contains("offending_dag_run"), "{text}");
    assert!(text.contains("29ce7909c52b (Airflow 3.0.0)"), "{text}");
}

#[test]
fn closed_ways_between_versions_are_blockers() {
    use BlockerCode::{RuntimePathUnsupported, RuntimeUnknownVersion, RuntimeUnsupported};
    let cases = [
        ("3.1-9", "3.0-3", RuntimeUnsupported),
        ("3.0-3", "3.0-3", RuntimeUnsupported),
        ("5.0.0", "4.2.0", RuntimeUnsupported),
        ("3.1-9", "11.7.0", RuntimePathUnsupported),
        ("13.0.0", "3.1-9", RuntimePathUnsupported),
        ("4.0-1", "3.1-9", RuntimeUnknownVersion),
        ("3.1-9", "99.0.0", RuntimeUnknownVersion),
    ];
    for (now, then, expected) in cases {
        let plan = plan(between(revision_on(now), revision_on(then)));
        let blockers = plan
            .blockers
            .iter()
            .map(|blocker| blocker.code)
            .collect::<Vec<_>>();
        assert_eq!(blockers, [expected], "{now} to {then}");
        assert!(!plan.blockers[0].text.is_empty() && !plan.blockers[0].subject.is_empty());
    }
}

#[test]
fn nothing_is_said_of_a_version_that_the_rules_do_not_know() {
    let plan = plan(between(revision_on("3.1-9"), revision_on("99.0.0")));
    for code in [
        WarningCode::RuntimeDowngrade,
        WarningCode::MetadataLoss,
        WarningCode::MajorVersionChange,
        WarningCode::DagsMayNotFit,
    ] {
        let told = plan.warnings.iter().any(|warning| warning.code == code);
        assert!(!told, "{code:?}");
    }
}

#[test]
fn a_revision_without_any_version_is_blocked_and_not_guessed() {
    let unknown = Revision {
        runtime: None,
        airflow: None,
        ..revision()
    };
    let plan = plan(between(revision(), unknown));
    assert_eq!(plan.blockers[0].code, BlockerCode::RuntimeUnknownVersion);
}

/// What the DAGs were last run by, against the image that they end up with.
#[test]
fn dags_may_not_fit_where_they_and_the_image_come_from_different_majors() {
    use DagDeployMode::{DagOnly, GitSync, Image};
    // mode, scope, now, target, and the runtime after the rollback
    let cases = [
        (DagOnly, Scope::Image, "3.1-9", "13.0.0", "13.0.0", true),
        (DagOnly, Scope::Image, "3.1-9", "3.1-2", "3.1-2", false),
        (DagOnly, Scope::Dags, "3.1-9", "13.0.0", "3.1-9", true),
        (DagOnly, Scope::Dags, "13.0.0", "3.1-9", "13.0.0", true),
        (DagOnly, Scope::Dags, "3.1-9", "3.1-2", "3.1-9", false),
        (DagOnly, Scope::All, "3.1-9", "13.0.0", "13.0.0", false),
        // The DAGs come back inside the image.
        (Image, Scope::All, "3.1-9", "13.0.0", "13.0.0", false),
        (Image, Scope::Image, "3.1-9", "13.0.0", "13.0.0", false),
        // The DAGs stay in git, as they are for what runs now.
        (GitSync, Scope::All, "3.1-9", "13.0.0", "13.0.0", true),
        (GitSync, Scope::Image, "3.1-9", "13.0.0", "13.0.0", true),
        (GitSync, Scope::All, "3.1-9", "3.1-2", "3.1-2", false),
        (GitSync, Scope::Dags, "3.1-9", "13.0.0", "3.1-9", false),
    ];
    for (mode, scope, now, target, then, expected) in cases {
        let on = |runtime| Revision {
            mode,
            ..revision_on(runtime)
        };
        let mut facts = between(on(now), on(target));
        facts.scope = scope;
        facts.preview.composed.as_mut().unwrap().revision = on(then);
        let warned = codes(&plan(facts)).contains(&WarningCode::DagsMayNotFit);
        assert_eq!(warned, expected, "{mode} {scope}: {now}, {target}, {then}");
    }
}

#[test]
fn without_a_dag_bundle_there_are_no_dags_that_may_not_fit() {
    let without = |runtime| Revision {
        dag_bundle: None,
        ..revision_on(runtime)
    };
    let mut facts = between(without("3.1-9"), without("13.0.0"));
    facts.scope = Scope::Image;
    assert!(!codes(&plan(facts)).contains(&WarningCode::DagsMayNotFit));
}
