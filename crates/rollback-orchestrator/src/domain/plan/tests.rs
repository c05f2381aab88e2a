mod blockers;
mod scopes;
mod warnings;

use model::deploys::DagDeployMode;
use proptest::prelude::*;

use super::*;
use crate::domain::agents::Agent;
use crate::domain::revision::{Component, Revision};
use crate::domain::samples::{
    agent, all_push, between, between_deploy, bundle, dbt, facts, git, image, number, revision,
    revision_on,
};
use crate::domain::warning::{Certainty, Migrations, Severity};

/// The migrations that are reverted, and how surely.
type Lost<'a> = Option<(Certainty, Vec<&'a str>)>;

fn plan(facts: Facts) -> Plan {
    Plan::new(facts, &Catalog::built_in())
}

fn codes(plan: &Plan) -> Vec<WarningCode> {
    plan.warnings.iter().map(|warning| warning.code).collect()
}

fn warning(plan: &Plan, code: WarningCode) -> &Warning {
    plan.warnings
        .iter()
        .find(|warning| warning.code == code)
        .unwrap()
}

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
fn a_rollback_between_like_versions_warns_of_nothing_and_shows_its_changes() {
    let plan = plan(facts());
    assert_eq!(codes(&plan), []);
    assert_eq!(plan.blockers, []);
    let components = plan
        .changes
        .iter()
        .map(|change| change.component)
        .collect::<Vec<_>>();
    assert_eq!(components, [Component::Image, Component::DagBundle]);
    assert!(plan.changes[0].from.contains(&"02".repeat(32)));
    assert!(plan.changes[0].to.contains(&"01".repeat(32)));
    let unchanged = plan
        .unchanged
        .iter()
        .map(|line| line.what)
        .collect::<Vec<_>>();
    assert_eq!(unchanged, ["settings", "description", "history"]);
    assert!(plan.unchanged[2].text.contains("becomes deploy 6"));
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

#[test]
fn every_blocker_is_reported_at_once() {
    let mut facts = between(revision_on("3.1-9"), revision_on("11.7.0"));
    let registry = [
        BlockerCode::TargetExpired,
        BlockerCode::RollbackDisabledDeployment,
    ];
    facts.preview.blockers = registry
        .map(|code| Blocker {
            code,
            subject: "s".to_owned(),
            text: "t".to_owned(),
        })
        .to_vec();
    let rollback = "workspaces/data/deployments/etl/rollbacks/00000000-0000-4000-8000-000000000001"
        .parse::<RollbackName>()
        .unwrap();
    facts.in_progress = Some(rollback.clone());
    let plan = plan(facts);
    let codes = plan
        .blockers
        .iter()
        .map(|blocker| blocker.code)
        .collect::<Vec<_>>();
    assert_eq!(
        codes,
        [
            BlockerCode::TargetExpired,
            BlockerCode::RollbackDisabledDeployment,
            BlockerCode::RuntimePathUnsupported,
            BlockerCode::RollbackInProgress,
        ]
    );
    assert_eq!(plan.blockers[3].subject, rollback.to_string());
}

#[test]
fn where_nothing_can_be_composed_only_the_blockers_speak() {
    let mut facts = facts();
    facts.preview.composed = None;
    facts.preview.blockers = vec![Blocker {
        code: BlockerCode::DagDeployModeUnsupported,
        subject: "s".to_owned(),
        text: "t".to_owned(),
    }];
    let plan = plan(facts);
    assert_eq!((codes(&plan), plan.changes.len()), (Vec::new(), 0));
    assert_eq!(plan.blockers[0].code, BlockerCode::DagDeployModeUnsupported);
    assert!(plan.unchanged.iter().any(|line| line.what == "history"));
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

#[test]
fn dags_stay_in_git_in_every_scope() {
    let in_git = Revision {
        mode: DagDeployMode::GitSync,
        ..revision()
    };
    for scope in Scope::ALL {
        let mut facts = between(in_git.clone(), in_git.clone());
        facts.scope = *scope;
        assert_eq!(codes(&plan(facts)), [WarningCode::DagsStayInGit]);
    }
}

#[test]
fn settings_are_shown_to_those_who_may_see_them_only() {
    let drifted = |held: PermissionSet| {
        let mut facts = facts();
        let mut set = |key: &str, then: Option<&str>, now: Option<&str>| {
            facts
                .target
                .settings
                .extend(then.map(|then| (key.to_owned(), then.to_owned())));
            facts
                .deployment
                .settings
                .extend(now.map(|now| (key.to_owned(), now.to_owned())));
        };
        set("A_SECRET", Some("then"), Some("now"));
        set("B_NEW", None, Some("now"));
        set("C_GONE", Some("then"), None);
        facts.held = held;
        plan(facts)
    };
    let change = |key: &str, then: Option<&str>, now: Option<&str>| SettingChange {
        key: key.to_owned(),
        then: then.map(str::to_owned),
        now: now.map(str::to_owned),
    };

    let seen = drifted(all_push().union(PermissionSet::of(&[Permission::DeploymentVariablesGet])));
    assert_eq!(
        seen.settings_drift,
        [
            change("A_SECRET", Some("then"), Some("now")),
            change("B_NEW", None, Some("now")),
            change("C_GONE", Some("then"), None),
        ]
    );
    assert!(
        warning(&seen, WarningCode::SettingsDrift)
            .text
            .contains("A_SECRET")
    );

    let hidden = drifted(all_push());
    assert_eq!(hidden.settings_drift, []);
    assert!(
        !warning(&hidden, WarningCode::SettingsDrift)
            .text
            .contains("A_SECRET")
    );
    assert_eq!(hidden.digest, seen.digest);
}

#[test]
fn git_is_not_reverted_and_the_warning_says_how_far_it_looked() {
    let with = |from_git: i64, looked_at: i64, target: Option<_>, target_number| {
        let mut facts = facts();
        facts.target.number = number(target_number);
        facts.target.git = target;
        let source = |n| (n < from_git).then(|| git('a'));
        let looked_at = (0..looked_at).map(|n| between_deploy(5 - n, source(n)));
        facts.left_behind = Some(looked_at.collect());
        plan(facts)
    };
    // Nothing came from git.
    assert!(!codes(&with(0, 1, None, 4)).contains(&WarningCode::GitNotReverted));

    let one = with(1, 1, None, 4);
    let text = &warning(&one, WarningCode::GitNotReverted).text;
    assert!(
        text.contains("deploy 5 from acme/etl on main at aaaaaaaaaaaa"),
        "{text}"
    );
    assert!(!text.contains("looked at"), "{text}");

    let target = with(0, 1, Some(git('a')), 4);
    assert!(
        warning(&target, WarningCode::GitNotReverted)
            .text
            .contains("acme/etl")
    );

    let mut partly = facts();
    partly.target.number = number(1);
    partly.deployment.latest = number(20);
    partly.deployment.current.as_mut().unwrap().number = number(20);
    let looked_at = (14..=20).rev().map(|n| between_deploy(n, Some(git('b'))));
    partly.left_behind = Some(looked_at.collect());
    let partly = plan(partly);
    let text = &warning(&partly, WarningCode::GitNotReverted).text;
    assert!(text.contains("and 2 more"), "{text}");
    assert!(
        text.contains("only the newest 7 of the 19 deploys"),
        "{text}"
    );

    let mut nobody_looked = facts();
    nobody_looked.target.git = Some(git('a'));
    nobody_looked.left_behind = None;
    assert!(!codes(&plan(nobody_looked)).contains(&WarningCode::GitNotReverted));
}

#[test]
fn deploys_in_between_are_counted() {
    let skipped = |target| {
        let mut facts = facts();
        facts.target.number = number(target);
        let plan = plan(facts);
        plan.warnings
            .into_iter()
            .find(|warning| warning.code == WarningCode::DeploysSkipped)
            .map(|warning| warning.text)
    };
    assert_eq!(skipped(5), None);
    assert_eq!(skipped(4), None);
    assert!(skipped(3).unwrap().starts_with("deploy 4 lies between"));
    assert!(
        skipped(1)
            .unwrap()
            .starts_with("3 deploys (2 to 4) lie between")
    );
}

#[test]
fn what_a_scope_leaves_alone_is_said() {
    let lines = |scope, then: Revision, dbt_now: bool| {
        let mut now = Revision {
            image: Some(image(2)),
            dag_bundle: Some(bundle(2)),
            ..revision()
        };
        if dbt_now {
            now.dbt_bundles = vec![dbt("/dbt/a", 1)];
        }
        let mut facts = between(now, then);
        facts.scope = scope;
        plan(facts)
            .unchanged
            .into_iter()
            .map(|line| line.what)
            .collect::<Vec<_>>()
    };
    let always = ["settings", "description", "history"];
    let with = |first: &[&'static str]| [first, &always].concat();

    let image_back = Revision {
        dag_bundle: Some(bundle(2)),
        ..revision()
    };
    assert_eq!(
        lines(Scope::Image, image_back.clone(), false),
        with(&["dags"])
    );
    let kept = Revision {
        dbt_bundles: vec![dbt("/dbt/a", 1)],
        ..image_back
    };
    assert_eq!(
        lines(Scope::Image, kept, true),
        with(&["dags", "dbt_bundles"])
    );
    let dags_back = Revision {
        image: Some(image(2)),
        ..revision()
    };
    assert_eq!(lines(Scope::Dags, dags_back, false), with(&["image"]));
    assert_eq!(lines(Scope::All, revision(), false), with(&[]));
}

/// Every cell of the table of modes and scopes, for every caller.
#[test]
fn the_permission_report_follows_scope_and_mode() {
    const IMAGES: PermissionSet = PermissionSet::of(&[Permission::DeploymentImagesPush]);
    const DAGS: PermissionSet = PermissionSet::of(&[Permission::DeploymentDagsPush]);
    let both = IMAGES.union(DAGS);
    for target in DagDeployMode::ALL {
        for now in DagDeployMode::ALL {
            for scope in Scope::ALL {
                for (dbt_now, dbt_then) in [(false, false), (true, false), (false, true)] {
                    for held in [PermissionSet::EMPTY, IMAGES, DAGS, both] {
                        let of = |mode, has_dbt| Revision {
                            mode,
                            dbt_bundles: if has_dbt {
                                vec![dbt("/dbt", 1)]
                            } else {
                                Vec::new()
                            },
                            ..revision()
                        };
                        let mut facts = between(of(*now, dbt_now), of(*target, dbt_then));
                        (facts.scope, facts.held) = (*scope, held);
                        let report = plan(facts).permissions;

                        let dag_only = [*target, *now].contains(&DagDeployMode::DagOnly);
                        let needed = match scope {
                            Scope::Image => IMAGES,
                            Scope::Dags => DAGS,
                            Scope::All if dag_only || dbt_now || dbt_then => both,
                            Scope::All => IMAGES,
                        };
                        assert_eq!(report.needed, needed, "{target} to {now}, {scope}");
                        assert_eq!(report.held, needed.intersection(held));
                        assert_eq!(report.missing, needed.difference(held));
                        let nfs = [*target, *now].contains(&DagDeployMode::Nfs);
                        let open = |scope: &Scope| {
                            !nfs && match scope {
                                Scope::All => {
                                    let all = if dag_only || dbt_now || dbt_then {
                                        both
                                    } else {
                                        IMAGES
                                    };
                                    all.is_subset(held)
                                }
                                Scope::Image => target == now && IMAGES.is_subset(held),
                                Scope::Dags => {
                                    let separate = dag_only || dbt_now || dbt_then;
                                    target == now && separate && DAGS.is_subset(held)
                                }
                            }
                        };
                        let expected = Scope::ALL.iter().copied().filter(open).collect::<Vec<_>>();
                        assert_eq!(report.open_scopes, expected, "{target} to {now}, {held:?}");
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_history_makes_a_plan_panic(
        target in 0_i64..i64::MAX,
        current in 0_i64..i64::MAX,
        looked_at in 0_i64..200,
        running in i64::MIN..i64::MAX,
        commit in ".{0,80}",
        runtime in prop::sample::select(vec!["3.1-9", "12.0.0", "5.0.0", "3.0-1", "99.0.0"]),
    ) {
        let mut facts = between(revision(), revision_on(runtime));
        facts.target.number = number(target);
        facts.deployment.latest = number(current);
        facts.deployment.current.as_mut().unwrap().number = number(current);
        let source = crate::domain::history::GitSource { commit, ..git('a') };
        facts.left_behind = Some((0..looked_at).map(|n| between_deploy(n, Some(source.clone()))).collect());
        let agent = Agent { running, queued: running, ..agent("a", &source.commit) };
        facts.agents = Some(Agents { reports: vec![agent.clone(), agent], more: false });
        plan(facts);
    }
}
