//! Deploys that a rollback can go back to.

use chassis::convert;
use chassis::fields::Fields;
use model::deploys::Scope;
use proto::registry::v1 as wire;

use super::{
    Malformed, blocker, deploy_number, deployment_of, explained, parse, required, revision, state,
    target_of, time,
};
use crate::clients::registry::Previews;
use crate::domain::history::{Composed, Deployment, Preview};
use crate::domain::target::{
    DeployTrigger, DeployType, Found, ListedDeploy, PreviewedDeploy, Verdict,
};

pub(in crate::clients::registry) fn found(
    response: wire::FindDeployResponse,
) -> Result<Found, Malformed> {
    let wire::FindDeployResponse {
        deploy,
        latest_deploy,
        current_deploy,
    } = response;
    Ok(Found {
        target: target_of(required("deploy", deploy)?)?,
        latest: deploy_number(&latest_deploy)?,
        current: deploy_number(&current_deploy)?,
    })
}

pub(in crate::clients::registry) fn previews(
    response: wire::PreviewRollbackDeploysResponse,
) -> Result<Previews, Malformed> {
    let wire::PreviewRollbackDeploysResponse {
        previews,
        next_page_token,
        deployment,
    } = response;
    let deployment = deployment_of(required("deployment", deployment)?)?;
    let deploys = previews
        .into_iter()
        .map(|preview| previewed(preview, &deployment))
        .collect::<Result<_, _>>()?;
    Ok(Previews {
        deployment,
        deploys,
        next_page_token,
    })
}

fn previewed(
    preview: wire::RollbackDeployPreview,
    deployment: &Deployment,
) -> Result<PreviewedDeploy, Malformed> {
    let wire::RollbackDeployPreview { deploy, scopes } = preview;
    let scopes = scopes.into_iter().map(|scope| in_scope(scope, deployment));
    Ok(PreviewedDeploy {
        deploy: listed(required("deploy", deploy)?)?,
        scopes: scopes.collect::<Result<_, _>>()?,
    })
}

fn in_scope(
    preview: wire::ScopePreview,
    deployment: &Deployment,
) -> Result<(Scope, Preview), Malformed> {
    let wire::ScopePreview {
        scope,
        revision: composed,
        blockers,
        revision_digest,
    } = preview;
    let blockers = blockers
        .into_iter()
        .map(blocker)
        .collect::<Result<Vec<_>, _>>()?;
    let composed = composed
        .map(|composed| {
            Ok(Composed {
                revision: revision(composed)?,
                digest: required(
                    "revision_digest",
                    Some(revision_digest).filter(|digest| !digest.is_empty()),
                )?,
                number: required("the next number", deployment.latest.next())?,
                replaced: required("current_deploy", deployment.current.as_ref())?.number,
            })
        })
        .transpose()?;
    let scope = convert::scope(&mut Fields::new(), "scope", scope)
        .ok_or_else(|| Malformed(format!("{scope} is no scope")))?;
    Ok((scope, explained(composed, blockers)?))
}

fn listed(deploy: wire::Deploy) -> Result<ListedDeploy, Malformed> {
    let verdict = |mark: &wire::Mark| {
        let name = mark.verdict().as_str_name();
        code(name, "VERDICT_", Verdict::from_name)
    };
    let (deploy_type, trigger) = (deploy.r#type(), deploy.trigger());
    Ok(ListedDeploy {
        deploy_type: code(
            deploy_type.as_str_name(),
            "DEPLOY_TYPE_",
            DeployType::from_name,
        )?,
        trigger: code(
            trigger.as_str_name(),
            "DEPLOY_TRIGGER_",
            DeployTrigger::from_name,
        )?,
        state: state(deploy.state)?,
        description: deploy.description.clone(),
        created_by: parse("created_by", &deploy.created_by)?,
        create_time: time(required("create_time", deploy.create_time)?)?,
        deploy_time: deploy.deploy_time.map(time).transpose()?,
        verdict: deploy.mark.as_ref().map(verdict).transpose()?,
        target: target_of(deploy)?,
    })
}

/// The value that an enum's name in the API stands for.
fn code<T>(name: &str, prefix: &str, read: fn(&str) -> Option<T>) -> Result<T, Malformed> {
    let value = name.strip_prefix(prefix).and_then(read);
    value.ok_or_else(|| Malformed(format!("{name} is not known here")))
}
