use std::collections::BTreeSet;

use proto::rollback::v1::{RollOut, Rollback, RollbackState};

use super::{Flaw, History, Records};
use crate::harness::requests::deploy as deploy_name;

/// Each rollback is over, has the deploy that it says, or none, and was asked for once.
pub(super) fn check(history: &History, deployment: &str, records: &Records, flaws: &mut Vec<Flaw>) {
    let mut seen = BTreeSet::new();
    for rollback in &records.rollbacks {
        let name = || rollback.name.clone();
        let deploy = records.deploy_of(&rollback.name);
        match rollback.state() {
            RollbackState::Succeeded => {
                let rolled_out = rollback.roll_out() == RollOut::Deployed;
                if deploy.is_none_or(|deploy| deploy.name != rollback.deploy) || !rolled_out {
                    flaws.push(Flaw::WithoutDeploy(name()));
                }
            }
            RollbackState::Failed | RollbackState::Cancelled => {
                let none = deploy.is_none() && rollback.deploy.is_empty();
                if !none || rollback.error.is_none() {
                    flaws.push(Flaw::WithDeploy(name()));
                }
            }
            RollbackState::Unspecified | RollbackState::Pending | RollbackState::Running => {
                flaws.push(Flaw::Stuck(name()));
            }
        }
        let step_goes_on = rollback.steps.iter().any(|step| step.end_time.is_none());
        if rollback.needs_attention || rollback.end_time.is_none() || step_goes_on {
            flaws.push(Flaw::Stuck(name()));
        }
        if !seen.insert(&rollback.description) || !was_asked(history, deployment, rollback) {
            flaws.push(Flaw::UnaskedRollback(name()));
        }
    }
}

fn was_asked(history: &History, deployment: &str, rollback: &Rollback) -> bool {
    history.asked.iter().any(|asked| {
        asked.description == rollback.description
            && asked.deployment == deployment
            && asked.person == rollback.created_by
            && asked.scope == rollback.scope()
            && deploy_name(deployment, asked.target) == rollback.target_deploy
    })
}
