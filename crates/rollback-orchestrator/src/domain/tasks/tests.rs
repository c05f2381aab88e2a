use model::catalog::Catalog;

use super::*;
use crate::domain::agents::Agent;
use crate::domain::plan::Plan;
use crate::domain::revision::Revision;
use crate::domain::samples::{agent, between, revision, revision_on};

fn on(version: &str) -> Revision {
    match version.strip_prefix("airflow:") {
        None => revision_on(version),
        Some(airflow) => Revision {
            runtime: None,
            airflow: Some(airflow.parse().unwrap()),
            ..revision()
        },
    }
}

fn plan(now: &str, then: &str, reports: Option<Vec<Agent>>) -> Plan {
    let mut facts = between(on(now), on(then));
    facts.agents = reports.map(|reports| Agents {
        reports,
        more: false,
    });
    Plan::new(facts, &Catalog::built_in())
}

fn warned(plan: &Plan) -> Option<&Warning> {
    let mut warnings = plan.warnings.iter();
    warnings.find(|warning| warning.code == WarningCode::TasksRunning)
}

fn busy(id: &str, running: i64, queued: i64, deferred: i64) -> Agent {
    Agent {
        running,
        queued,
        deferred,
        ..agent(id, "3.1-2")
    }
}

#[test]
fn what_happens_to_tasks_is_told_exactly_where_the_version_changes() {
    for (now, then, told) in [
        ("3.1-9", "3.1-9", false),
        ("3.1-9", "3.1-9-base", false),
        ("3.1-9", "3.1-2", true),
        ("3.1-2", "3.1-9", true),
        ("3.1-9", "13.0.0", true),
        ("airflow:3.1.5", "airflow:3.1.5", false),
        ("airflow:3.1.5", "airflow:3.1.0", true),
        ("airflow:3.1.0", "airflow:3.1.5", true),
        // The Runtime is given up, the Airflow version stays.
        ("3.1-9", "airflow:3.1.5", false),
        // The patch behind 12.5.0 is not known.
        ("12.5.0", "airflow:2.10.5", true),
        // Nothing is said of versions that the rules do not know.
        ("3.1-9", "99.0.0", false),
    ] {
        assert_eq!(
            plan(now, then, None).tasks.is_some(),
            told,
            "{now} to {then}"
        );
    }
}

#[test]
fn the_text_says_what_happens_to_tasks_in_each_state() {
    let text = |now, then| plan(now, then, None).tasks.unwrap().text;
    let lower = text("3.1-9", "3.1-2");
    for part in [
        "from Runtime 3.1-9 (Airflow 3.1.5) to Runtime 3.1-2 (Airflow 3.1.0)",
        "fail at once, and their retries run after the rollback",
        "queued tasks",
        "deferred tasks",
    ] {
        assert!(lower.contains(part), "{lower}");
    }
    assert!(!lower.contains("METADATA_LOSS"), "{lower}");
    assert!(text("3.1-9", "13.0.0").contains("METADATA_LOSS"));
}

#[test]
fn tasks_are_counted_over_all_agents_and_not_where_nobody_reports() {
    let agents = vec![busy("a", 2, 3, 5), busy("b", 7, 11, 13)];
    let tasks = plan("3.1-9", "3.1-2", Some(agents)).tasks.unwrap();
    let counts = TaskCounts {
        running: 9,
        queued: 14,
        deferred: 18,
    };
    assert_eq!(tasks.counts, Some(counts));
    for nobody in [None, Some(Vec::new())] {
        assert_eq!(plan("3.1-9", "3.1-2", nobody).tasks.unwrap().counts, None);
    }
}

#[test]
fn running_tasks_are_warned_of_in_every_rollback() {
    let of = |then, agents| plan("3.1-9", then, Some(agents));
    let changes = of("3.1-2", vec![busy("a", 2, 3, 5)]);
    let text = &warned(&changes).unwrap().text;
    assert!(
        text.starts_with(
            "remote agents run 2 tasks, 3 are queued and 5 deferred: the version changes"
        ),
        "{text}"
    );
    let stays = of("3.1-9", vec![busy("a", 2, 0, 0)]);
    assert!(!warned(&stays).unwrap().text.contains("the version changes"));
    assert_eq!(warned(&of("3.1-2", vec![busy("a", 0, 3, 5)])), None);
    assert_eq!(warned(&of("3.1-2", Vec::new())), None);
}
