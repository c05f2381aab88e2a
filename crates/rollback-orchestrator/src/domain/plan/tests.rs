mod blockers;
mod scopes;
mod versions;
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
use crate::domain::warning::Severity;

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
fn a_plan_says_what_a_hold_cannot_stop() {
    let in_git = Revision {
        mode: DagDeployMode::GitSync,
        ..revision()
    };
    let text_of = |facts: Facts, code| {
        let mut warnings = plan(facts).warnings.into_iter();
        warnings.find(|warning| warning.code == code).unwrap().text
    };
    for hold in [false, true] {
        let mut facts = between(in_git.clone(), in_git.clone());
        facts.options.hold = hold;
        let text = text_of(facts, WarningCode::DagsStayInGit);
        assert_eq!(text.contains("cannot stop git-sync"), hold, "{text}");

        let mut facts = between(revision(), revision());
        facts.options.hold = hold;
        facts.target.git = Some(git('a'));
        let text = text_of(facts, WarningCode::GitNotReverted);
        assert_eq!(text.contains("once the hold is released"), hold, "{text}");
    }
}

#[test]
fn a_hold_that_is_on_stays_on_unless_another_takes_its_place() {
    for (held, hold) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut facts = facts();
        facts.deployment.held = held;
        facts.options.hold = hold;
        let stays = plan(facts).unchanged.iter().any(|line| line.what == "hold");
        assert_eq!(stays, held && !hold);
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
