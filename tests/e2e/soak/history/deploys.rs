use std::collections::BTreeSet;

use proto::registry::v1::{Deploy, DeployState, DeployTrigger, Revision, RollbackOrigin};

use super::{Flaw, History, Part, Records, composed};
use crate::harness::requests::deploy as deploy_name;

/// Each deploy stands on the one before it, and was made once by what it says.
pub(super) fn check(history: &History, deployment: &str, records: &Records, flaws: &mut Vec<Flaw>) {
    let names = records.deploys.iter().map(|deploy| deploy.name.clone());
    let numbered = (1..).map(|number| deploy_name(deployment, number));
    let last = records.deploys.last().map(|deploy| &deploy.name);
    if !names.eq(numbered.take(records.deploys.len())) || last != Some(&records.latest) {
        flaws.push(Flaw::Numbers(deployment.to_owned()));
    }
    let mut made = BTreeSet::new();
    let after_another = records.deploys.iter().zip(records.deploys.iter().skip(1));
    for (before, deploy) in after_another.skip(history.at_first.saturating_sub(1)) {
        match &deploy.rollback {
            Some(origin) => {
                if !made.insert(origin.rollback.as_str()) {
                    flaws.push(Flaw::Doubled(origin.rollback.clone()));
                }
                of_rollback(records, origin, before, deploy, flaws);
            }
            None => {
                if !made.insert(deploy.description.as_str()) || !was_asked(history, deploy) {
                    flaws.push(Flaw::Unasked(deploy.name.clone()));
                } else if !is_shipped(history, before, deploy) {
                    flaws.push(Flaw::Revision(deploy.name.clone()));
                }
            }
        }
    }
}

fn of_rollback(
    records: &Records,
    origin: &RollbackOrigin,
    before: &Deploy,
    deploy: &Deploy,
    flaws: &mut Vec<Flaw>,
) {
    let name = || deploy.name.clone();
    let Some(rollback) = records.rollback(&origin.rollback) else {
        flaws.push(Flaw::Unrecorded(name()));
        return;
    };
    let said = (
        &origin.source_deploy,
        &origin.replaced_deploy,
        origin.scope,
        &deploy.created_by,
        &deploy.description,
        &deploy.name,
    );
    let recorded = (
        &rollback.target_deploy,
        &rollback.replaced_deploy,
        rollback.scope,
        &rollback.created_by,
        &rollback.description,
        &rollback.deploy,
    );
    // Nothing was overwritten: what it replaced is what was there.
    let overtook = origin.replaced_deploy != before.name;
    let other = deploy.trigger() != DeployTrigger::Rollback
        || deploy.state() != DeployState::Deployed
        || origin.permit_id.is_empty();
    if said != recorded || overtook || other {
        flaws.push(Flaw::Mismatch(name()));
    }
    let mut deploys = records.deploys.iter();
    let target = deploys.find(|deploy| deploy.name == origin.source_deploy);
    let right = target.map(|target| composed(origin.scope(), of(target), of(before)));
    if right.as_ref() != deploy.revision.as_ref() {
        flaws.push(Flaw::Revision(name()));
    }
}

fn of(deploy: &Deploy) -> &Revision {
    deploy.revision.as_ref().unwrap()
}

fn was_asked(history: &History, deploy: &Deploy) -> bool {
    history.shipped.iter().any(|shipped| {
        shipped.description == deploy.description
            && shipped.person == deploy.created_by
            && deploy.name.starts_with(&format!("{}/", shipped.deployment))
    })
}

/// Whether a deploy brings what it was to bring, and leaves everything else.
fn is_shipped(history: &History, before: &Deploy, deploy: &Deploy) -> bool {
    let mut asked = history.shipped.iter();
    let asked = asked.find(|shipped| shipped.description == deploy.description);
    let (before, found) = (of(before), of(deploy));
    asked.is_some_and(|shipped| match &shipped.part {
        Part::Image {
            image,
            runtime_version,
        } => {
            let expected = Revision {
                image: Some(image.clone()),
                runtime_version: runtime_version.clone(),
                // The registry knows it.
                airflow_version: found.airflow_version.clone(),
                ..before.clone()
            };
            *found == expected
        }
        Part::Dags(sha256) => {
            let expected = Revision {
                dag_bundle: found.dag_bundle.clone(),
                ..before.clone()
            };
            let bundle = found.dag_bundle.as_ref();
            *found == expected && bundle.is_some_and(|bundle| bundle.sha256 == *sha256)
        }
    })
}
