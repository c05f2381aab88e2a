//! Every blocker, alone and with all others.

use super::*;
use crate::domain::agents::Agents;

/// A change of facts that nothing speaks against.
type Edit = fn(&mut Facts);

fn told_by_the_registry(facts: &mut Facts, code: BlockerCode) {
    facts.preview.blockers.push(Blocker {
        code,
        subject: format!("about {code}"),
        text: format!("told of {code}"),
    });
}

fn then_on(facts: &mut Facts, runtime: &str) {
    facts.preview.composed.as_mut().unwrap().revision = revision_on(runtime);
}

fn agents(runtime: &str) -> Option<Agents> {
    Some(Agents {
        reports: vec![agent("agent-a", runtime)],
        more: false,
    })
}

/// What brings each of our own blockers about; none for those that the registry tells.
fn ours(code: BlockerCode) -> Option<Edit> {
    match code {
        BlockerCode::RollbackDisabledInstallation
        | BlockerCode::RollbackDisabledDeployment
        | BlockerCode::TargetIsCurrent
        | BlockerCode::NoChange
        | BlockerCode::TargetNotDeployed
        | BlockerCode::TargetExpired
        | BlockerCode::ArtifactMissing
        | BlockerCode::DagsNotSeparate
        | BlockerCode::DagDeployModeUnsupported
        | BlockerCode::DagDeployModeChanged
        | BlockerCode::NothingDeployed
        | BlockerCode::DeploymentDeleted
        | BlockerCode::TargetMarkedBad => None,
        BlockerCode::RuntimeUnsupported => Some(|facts| then_on(facts, "3.0-3")),
        BlockerCode::RuntimePathUnsupported => Some(|facts| then_on(facts, "11.7.0")),
        BlockerCode::RuntimeUnknownVersion => Some(|facts| then_on(facts, "99.0.0")),
        BlockerCode::AgentTooNew => Some(|facts| facts.agents = agents("3.3-8")),
        BlockerCode::RollbackInProgress => Some(|facts| {
            let rollback = "workspaces/data/deployments/etl/rollbacks/\
                            00000000-0000-4000-8000-000000000001";
            facts.in_progress = Some(rollback.parse().unwrap());
        }),
    }
}

fn found(plan: &Plan) -> Vec<BlockerCode> {
    plan.blockers.iter().map(|blocker| blocker.code).collect()
}

#[test]
fn every_blocker_is_told_with_what_it_is_about_and_changes_the_digest() {
    let free = plan(facts());
    assert_eq!(found(&free), []);
    for code in BlockerCode::ALL {
        let mut facts = facts();
        match ours(*code) {
            Some(edit) => edit(&mut facts),
            None => told_by_the_registry(&mut facts, *code),
        }
        let plan = plan(facts);
        assert_eq!(found(&plan), [*code]);
        let blocker = &plan.blockers[0];
        assert!(
            !blocker.subject.is_empty() && !blocker.text.is_empty(),
            "{code}"
        );
        assert_ne!(plan.digest, free.digest, "{code}");
        let history = plan.unchanged.iter().find(|line| line.what == "history");
        let text = &history.unwrap().text;
        assert!(!text.contains("becomes deploy"), "{code}: {text}");
    }
}

#[test]
fn all_blockers_are_told_at_once() {
    // One version has one reason: the others of versions are tried alone.
    let alone = [
        BlockerCode::RuntimeUnsupported,
        BlockerCode::RuntimeUnknownVersion,
    ];
    let mut facts = facts();
    let mut expected = Vec::new();
    for code in BlockerCode::ALL.iter().filter(|code| !alone.contains(code)) {
        expected.push(*code);
        match ours(*code) {
            Some(edit) => edit(&mut facts),
            None => told_by_the_registry(&mut facts, *code),
        }
    }
    assert_eq!(found(&plan(facts)), expected);
}

#[test]
fn a_rollback_that_changes_nothing_becomes_no_deploy() {
    let mut facts = between(revision(), revision());
    told_by_the_registry(&mut facts, BlockerCode::NoChange);
    let plan = plan(facts);
    assert_eq!(plan.changes, []);
    let history = plan.unchanged.iter().find(|line| line.what == "history");
    assert_eq!(
        history.unwrap().text,
        "history only grows: deploys up to 5 stay"
    );
    assert!(plan.composed.is_some(), "what would run is still shown");
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
