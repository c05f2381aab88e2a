//! Every warning: what brings it about, and what is next to it and does not.

use super::*;
use crate::domain::agents::Agents;

/// A change of facts that nothing is warned of.
type Edit = fn(&mut Facts);

struct Row {
    severity: Severity,
    must_acknowledge: bool,
    when: Edit,
    /// What it is warned of then, beside the code itself.
    with: &'static [WarningCode],
    but_not_when: Edit,
}

fn then_on(facts: &mut Facts, runtime: &str) {
    facts.preview.composed.as_mut().unwrap().revision = revision_on(runtime);
    facts.target.revision = revision_on(runtime);
}

fn now_on(facts: &mut Facts, runtime: &str) {
    facts.deployment.current.as_mut().unwrap().revision = revision_on(runtime);
}

fn agents(running: i64) -> Option<Agents> {
    let agent = crate::domain::agents::Agent {
        running,
        ..agent("agent-a", "3.1-2")
    };
    Some(Agents {
        reports: vec![agent],
        more: false,
    })
}

fn row(code: WarningCode) -> Row {
    use WarningCode::{DagsMayNotFit, MajorVersionChange, MetadataLoss, RuntimeDowngrade};
    let row = |severity, must_acknowledge, when, with, but_not_when| Row {
        severity,
        must_acknowledge,
        when,
        with,
        but_not_when,
    };
    match code {
        RuntimeDowngrade => row(
            Severity::Critical,
            true,
            |facts| then_on(facts, "3.1-2"),
            &[],
            |facts| then_on(facts, "3.1-9-base"),
        ),
        MetadataLoss => row(
            Severity::Critical,
            true,
            |facts| {
                now_on(facts, "3.2-2");
                then_on(facts, "3.1-17");
            },
            &[RuntimeDowngrade],
            // A downgrade under one head.
            |facts| {
                now_on(facts, "3.2-10");
                then_on(facts, "3.2-2");
            },
        ),
        MajorVersionChange => row(
            Severity::Critical,
            true,
            |facts| then_on(facts, "13.0.0"),
            &[RuntimeDowngrade, MetadataLoss],
            |facts| {
                now_on(facts, "13.0.0");
                then_on(facts, "12.0.0");
            },
        ),
        DagsMayNotFit => row(
            Severity::Critical,
            true,
            |facts| {
                facts.scope = Scope::Image;
                then_on(facts, "13.0.0");
            },
            &[RuntimeDowngrade, MetadataLoss, MajorVersionChange],
            |facts| {
                facts.scope = Scope::All;
                then_on(facts, "13.0.0");
            },
        ),
        WarningCode::RuntimeRestricted => row(
            Severity::Warning,
            false,
            |facts| {
                now_on(facts, "3.1-8");
                then_on(facts, "3.1-8");
            },
            &[],
            |facts| now_on(facts, "3.1-8"),
        ),
        WarningCode::SettingsDrift => row(
            Severity::Warning,
            false,
            |facts| facts.deployment.settings.clear(),
            &[],
            |facts| {
                facts.deployment.settings.clear();
                facts.target.settings.clear();
            },
        ),
        WarningCode::DagsStayInGit => row(
            Severity::Warning,
            false,
            |facts| {
                facts.preview.composed.as_mut().unwrap().revision.mode = DagDeployMode::GitSync;
            },
            &[],
            |facts| facts.preview.composed.as_mut().unwrap().revision.mode = DagDeployMode::Image,
        ),
        WarningCode::GitNotReverted => row(
            Severity::Warning,
            false,
            |facts| facts.left_behind = Some(vec![between_deploy(5, Some(git('a')))]),
            &[],
            |facts| facts.left_behind = Some(vec![between_deploy(5, None)]),
        ),
        WarningCode::DeploysSkipped => row(
            Severity::Info,
            false,
            |facts| facts.target.number = number(3),
            &[],
            |facts| facts.target.number = number(4),
        ),
        WarningCode::AgentUnknown => row(
            Severity::Warning,
            false,
            |facts| {
                facts.agents = agents(0);
                facts.agents.as_mut().unwrap().reports.clear();
            },
            &[],
            |facts| facts.agents = agents(0),
        ),
        WarningCode::TasksRunning => row(
            Severity::Warning,
            false,
            |facts| facts.agents = agents(1),
            &[],
            |facts| facts.agents = agents(0),
        ),
    }
}

fn edited(edit: Edit) -> Plan {
    let mut facts = facts();
    edit(&mut facts);
    plan(facts)
}

#[test]
fn every_warning_comes_when_it_should_and_not_when_it_should_not() {
    assert_eq!(codes(&plan(facts())), []);
    for code in WarningCode::ALL {
        let Row {
            severity,
            must_acknowledge,
            when,
            with,
            but_not_when,
        } = row(*code);
        let warned = edited(when);
        let mut expected = [with, &[*code]].concat();
        expected.sort_unstable();
        assert_eq!(codes(&warned), expected, "{code}");
        let told = warning(&warned, *code);
        assert_eq!(
            (told.severity, !told.text.is_empty()),
            (severity, true),
            "{code}"
        );
        let must = warned.must_acknowledge().any(|must| must == *code);
        assert_eq!(must, must_acknowledge, "{code}");
        let has_migrations = *code == WarningCode::MetadataLoss;
        assert_eq!(told.migrations.is_some(), has_migrations, "{code}");

        assert!(!codes(&edited(but_not_when)).contains(code), "{code}");
    }
}

/// The digest covers those that must be acknowledged and no other.
#[test]
fn a_warning_changes_the_digest_exactly_if_it_must_be_acknowledged() {
    let free = plan(facts()).digest;
    for code in WarningCode::ALL {
        let Row {
            must_acknowledge,
            when,
            ..
        } = row(*code);
        // The scope and the target are covered by themselves.
        let unscoped = |facts: &mut Facts| {
            when(facts);
            facts.scope = Scope::All;
            facts.target.number = number(4);
        };
        let mut facts = facts();
        unscoped(&mut facts);
        assert_eq!(plan(facts).digest != free, must_acknowledge, "{code}");
    }
}
