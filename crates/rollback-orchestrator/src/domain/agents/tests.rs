use model::catalog::Catalog;

use super::*;
use crate::domain::plan::Plan;
use crate::domain::revision::Revision;
use crate::domain::samples::{agent, between, revision, revision_on};

fn agents(runtimes: &[&str]) -> Agents {
    let reports = runtimes.iter().enumerate();
    Agents {
        reports: reports
            .map(|(n, runtime)| agent(&format!("agent-{n:03}"), runtime))
            .collect(),
        more: false,
    }
}

fn plan(then: Revision, agents: Option<Agents>) -> Plan {
    let mut facts = between(revision_on("3.3-8"), then);
    facts.agents = agents;
    Plan::new(facts, &Catalog::built_in())
}

fn blocker(plan: &Plan) -> Option<&Blocker> {
    let mut blockers = plan.blockers.iter();
    blockers.find(|blocker| blocker.code == BlockerCode::AgentTooNew)
}

fn unknown(plan: &Plan) -> Option<&str> {
    let mut warnings = plan.warnings.iter();
    let found = warnings.find(|warning| warning.code == WarningCode::AgentUnknown)?;
    Some(&found.text)
}

#[test]
fn an_agent_may_be_older_than_what_would_run_and_not_newer() {
    // the Runtime after the rollback, an agent's, and whether it is too new
    for (then, runtime, too_new) in [
        ("3.2-2", "3.2-2", false),
        ("3.2-2", "3.2-1", false),
        ("3.2-2", "3.1-17", false),
        ("3.2-2", "3.2-2-python-3.12-astro-agent-1.6.0", false),
        ("3.2-2", "3.2-2-rc1", false),
        ("3.2-2", "3.2-3", true),
        ("3.2-2", "3.2-10", true),
        ("3.2-2", "3.10-1", true),
        ("3.2-2", "3.3-8-base", true),
        ("3.2-2-rc1", "3.2-2", true),
        // Every Runtime of Airflow 3 is above every one of Airflow 2.
        ("13.11.0", "3.1-2", true),
        ("13.11.0", "13.11.0", false),
    ] {
        let plan = plan(revision_on(then), Some(agents(&[runtime])));
        assert_eq!(blocker(&plan).is_some(), too_new, "{runtime} under {then}");
        assert_eq!(plan.agents[0].too_new, too_new, "{runtime} under {then}");
        assert_eq!(unknown(&plan), None, "{runtime} under {then}");
    }
}

#[test]
fn all_agents_that_are_too_new_are_one_blocker_that_names_some() {
    let newer = [["3.2-1", "3.3-1"]; 7].concat();
    let plan = plan(revision_on("3.2-1"), Some(agents(&newer)));
    let blocker = blocker(&plan).unwrap();
    assert_eq!(plan.blockers.len(), 1);
    assert_eq!(blocker.subject, "agent-001");
    let named = "agent-001 (Runtime 3.3-1), agent-003 (Runtime 3.3-1), agent-005 (Runtime 3.3-1), \
                 agent-007 (Runtime 3.3-1), agent-009 (Runtime 3.3-1) and 2 more; bring them to 3.2-1";
    assert!(blocker.text.contains(named), "{}", blocker.text);
}

#[test]
fn what_cannot_be_compared_is_no_blocker_and_is_warned_of() {
    let plain = Revision {
        runtime: None,
        airflow: Some("3.1.5".parse().unwrap()),
        ..revision()
    };
    let more = Agents {
        more: true,
        ..agents(&["3.1-9"])
    };
    let on = || revision_on("3.1-9");
    let cases = [
        (on(), agents(&[]), "none of its remote agents reports"),
        (
            plain.clone(),
            agents(&[]),
            "none of its remote agents reports",
        ),
        (plain, agents(&["3.3-8"]), "has no Runtime version"),
        (
            on(),
            agents(&["3.1-9", "nightly"]),
            "cannot be read: agent-001 (Runtime nightly)",
        ),
        (on(), more, "only 1 of its remote agents"),
    ];
    for (then, agents, expected) in cases {
        let plan = plan(then, Some(agents));
        assert_eq!(blocker(&plan), None, "{expected}");
        let text = unknown(&plan).unwrap();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn one_agent_that_is_too_new_blocks_whatever_the_others_say() {
    let plan = plan(revision_on("3.1-9"), Some(agents(&["nightly", "3.2-1"])));
    assert_eq!(blocker(&plan).unwrap().subject, "agent-001");
    assert!(unknown(&plan).is_some());
}

#[test]
fn where_nothing_runs_remotely_nothing_is_said_of_agents() {
    let plan = plan(revision_on("3.1-9"), None);
    assert_eq!((blocker(&plan), unknown(&plan)), (None, None));
    assert_eq!(plan.agents, []);
}

#[test]
fn where_nothing_can_be_composed_no_agent_is_too_new() {
    let mut facts = between(revision_on("3.3-8"), revision_on("3.1-9"));
    facts.agents = Some(agents(&["3.3-8"]));
    facts.preview.composed = None;
    let plan = Plan::new(facts, &Catalog::built_in());
    assert_eq!(blocker(&plan), None);
    assert!(!plan.agents[0].too_new);
}

#[test]
fn a_plan_shows_a_hundred_agents_and_looks_at_all() {
    let mut runtimes = vec!["3.1-9"; 150];
    runtimes[149] = "3.2-1";
    let plan = plan(revision_on("3.1-9"), Some(agents(&runtimes)));
    assert_eq!(plan.agents.len(), 100);
    assert_eq!(plan.agents[99].id, "agent-099");
    assert_eq!(blocker(&plan).unwrap().subject, "agent-149");
}
