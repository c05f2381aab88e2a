use model::catalog::Catalog;
use model::permissions::Permission;

use super::*;
use crate::domain::plan::Facts;
use crate::domain::samples::{between, facts, revision_on};

fn plan(facts: Facts) -> Plan {
    Plan::new(facts, &Catalog::built_in())
}

fn in_progress() -> RollbackName {
    "workspaces/data/deployments/etl/rollbacks/00000000-0000-4000-8000-000000000001"
        .parse()
        .unwrap()
}

fn expired() -> Blocker {
    Blocker {
        code: BlockerCode::TargetExpired,
        subject: "s".to_owned(),
        text: "t".to_owned(),
    }
}

fn another_digest() -> PlanDigest {
    "ab".repeat(32).parse().unwrap()
}

#[test]
fn a_plan_that_nothing_is_against_is_carried_out() {
    let plan = plan(facts());
    assert_eq!(admit(&plan, None, &[]), Ok(()));
    assert_eq!(admit(&plan, Some(plan.digest), &[]), Ok(()));
}

#[test]
fn refusals_come_in_order() {
    let mut facts = between(revision_on("3.1-9"), revision_on("3.1-2"));
    facts.held = PermissionSet::of(&[Permission::DeploymentDagsPush]);
    facts.preview.blockers = vec![expired()];
    facts.in_progress = Some(in_progress());

    let lacking = plan(facts.clone());
    assert_eq!(
        admit(&lacking, Some(another_digest()), &[]),
        Err(Refusal::PermissionMissing {
            missing: PermissionSet::of(&[Permission::DeploymentImagesPush]),
            open_scopes: vec![Scope::Dags],
            open_without_hold: None,
        })
    );

    let mut with_hold = facts.clone();
    with_hold.options.hold = true;
    assert_eq!(
        admit(&plan(with_hold), None, &[]),
        Err(Refusal::PermissionMissing {
            missing: PermissionSet::of(&[Permission::DeploymentImagesPush]),
            open_scopes: Vec::new(),
            open_without_hold: Some(vec![Scope::Dags]),
        })
    );

    facts.held = crate::domain::samples::all_push();
    let changed = plan(facts.clone());
    assert_eq!(
        admit(&changed, Some(another_digest()), &[]),
        Err(Refusal::PlanChanged(changed.digest))
    );
    assert_eq!(
        admit(&changed, None, &[]),
        Err(Refusal::Blocked(changed.blockers.clone()))
    );

    facts.preview.blockers.clear();
    let waiting = plan(facts.clone());
    assert_eq!(
        admit(&waiting, None, &[]),
        Err(Refusal::InProgress(in_progress()))
    );

    facts.in_progress = None;
    let unread = plan(facts);
    assert_eq!(
        admit(&unread, None, &[]),
        Err(Refusal::NotAcknowledged(vec![
            WarningCode::RuntimeDowngrade
        ]))
    );
    assert_eq!(
        admit(&unread, None, &[WarningCode::RuntimeDowngrade]),
        Ok(())
    );
}

#[test]
fn each_warning_is_acknowledged_by_its_own_code() {
    let plan = plan(between(revision_on("3.1-9"), revision_on("13.0.0")));
    let must = plan.must_acknowledge().collect::<Vec<_>>();
    assert_eq!(
        must,
        [
            WarningCode::RuntimeDowngrade,
            WarningCode::MetadataLoss,
            WarningCode::MajorVersionChange
        ]
    );
    for left_out in &must {
        let others = must
            .iter()
            .copied()
            .filter(|code| code != left_out)
            .collect::<Vec<_>>();
        assert_eq!(
            admit(&plan, None, &others),
            Err(Refusal::NotAcknowledged(vec![*left_out]))
        );
    }
    assert_eq!(admit(&plan, None, WarningCode::ALL), Ok(()));
}
