//! Reading what a rollback is asked for: the part that planning and creating one have in common.

use chassis::convert;
use chassis::fields::Fields;
use model::deploys::Scope;
use model::names::{DeployName, DeploymentName};

/// What to roll back to, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) target: DeployName,
    pub(super) scope: Scope,
}

/// Reads target and scope. `parent` is none if it was wrong itself.
pub(super) fn read(
    fields: &mut Fields,
    parent: Option<&DeploymentName>,
    target_deploy: Option<&str>,
    scope: i32,
) -> Option<Asked> {
    let target = fields.parse::<DeployName>("target_deploy", target_deploy.unwrap_or_default());
    let target = target.and_then(|target| match parent {
        Some(parent) if parent != target.deployment() => {
            fields.violation("target_deploy", "must be a deploy of the parent");
            None
        }
        Some(_) | None => Some(target),
    });
    let scope = convert::scope(fields, "scope", scope);
    Some(Asked {
        target: target?,
        scope: scope?,
    })
}
