//! What a rollback can go back to.

use chassis::convert::{scope_to_proto, timestamp};
use chassis::paging::Page;
use model::names::{DeployNumber, DeploymentName};
use proto::registry::v1 as registry;
use proto::rollback::v1 as wire;

use super::{blocker, deploy_name, names, reports, text, warning_code};
use crate::domain::history::Target;
use crate::domain::target::{
    DeployTrigger, DeployType, JudgedDeploy, Judgement, ListedDeploy, Verdict,
};
use crate::planning::{Meant, Targets};

pub(in crate::api) fn targets(targets: Targets, page: &Page) -> wire::ListRollbackTargetsResponse {
    let Targets {
        deployment,
        deploys,
        next_page_token,
        meant: Meant { previous, as_of },
    } = targets;
    let deploys = deploys.into_iter().map(|it| target(&deployment, it));
    let previous = previous
        .into_iter()
        .map(|(scope, number)| wire::PreviousDeploy {
            scope: scope_to_proto(scope).into(),
            deploy: deploy_name(&deployment, number),
        });
    wire::ListRollbackTargetsResponse {
        targets: deploys.collect(),
        next_page_token: match next_page_token.as_str() {
            "" => String::new(),
            token => page.token_after(token),
        },
        previous: previous.collect(),
        as_of_deploy: deploy_name(&deployment, as_of.unwrap_or(DeployNumber::NONE)),
    }
}

fn target(deployment: &DeploymentName, judged: JudgedDeploy) -> wire::RollbackTarget {
    let JudgedDeploy {
        deploy,
        airflow,
        scopes,
    } = judged;
    let ListedDeploy {
        target:
            Target {
                number,
                revision,
                settings: _,
                git: _,
                expire_time,
            },
        deploy_type,
        trigger,
        state,
        description,
        created_by,
        create_time,
        deploy_time,
        verdict,
    } = deploy;
    wire::RollbackTarget {
        deploy: deploy_name(deployment, number),
        r#type: self::deploy_type(deploy_type).into(),
        trigger: self::trigger(trigger).into(),
        state: reports::state(state).into(),
        description,
        created_by: created_by.to_string(),
        create_time: Some(timestamp(create_time)),
        deploy_time: deploy_time.map(timestamp),
        expire_time: expire_time.map(timestamp),
        verdict: verdict
            .map_or(registry::Verdict::Unspecified, self::verdict)
            .into(),
        runtime_version: text(revision.runtime.as_ref()),
        airflow_version: text(airflow.as_ref()),
        scopes: scopes.into_iter().map(target_scope).collect(),
    }
}

fn target_scope(judgement: Judgement) -> wire::TargetScope {
    let allowed = judgement.allows();
    let Judgement {
        scope,
        blockers,
        missing,
        must_acknowledge,
    } = judgement;
    wire::TargetScope {
        scope: scope_to_proto(scope).into(),
        allowed,
        blockers: blockers.into_iter().map(blocker).collect(),
        missing_permissions: names(missing),
        must_acknowledge: must_acknowledge
            .into_iter()
            .map(|code| warning_code(code).into())
            .collect(),
    }
}

fn deploy_type(deploy_type: DeployType) -> registry::DeployType {
    match deploy_type {
        DeployType::ImageAndDags => registry::DeployType::ImageAndDags,
        DeployType::ImageOnly => registry::DeployType::ImageOnly,
        DeployType::DagsOnly => registry::DeployType::DagsOnly,
        DeployType::Dbt => registry::DeployType::Dbt,
    }
}

fn trigger(trigger: DeployTrigger) -> registry::DeployTrigger {
    match trigger {
        DeployTrigger::Api => registry::DeployTrigger::Api,
        DeployTrigger::Rollback => registry::DeployTrigger::Rollback,
        DeployTrigger::Github => registry::DeployTrigger::Github,
        DeployTrigger::GitSync => registry::DeployTrigger::GitSync,
    }
}

fn verdict(verdict: Verdict) -> registry::Verdict {
    match verdict {
        Verdict::Good => registry::Verdict::Good,
        Verdict::Bad => registry::Verdict::Bad,
    }
}
