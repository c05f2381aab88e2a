//! Reading what a rollback is asked for: the part that planning and creating one have in common.

use chassis::convert;
use chassis::fields::Fields;
use model::deploys::Scope;
use model::names::{DeployName, DeploymentName};
use prost_types::Timestamp;
use proto::rollback::v1::{create_rollback_request, plan_rollback_request};

use crate::domain::target::Aim;

/// What to roll back to, as a request says it.
pub(super) enum Said {
    Deploy(String),
    Previous(bool),
    AsOf(Timestamp),
}

impl From<plan_rollback_request::Target> for Said {
    fn from(target: plan_rollback_request::Target) -> Self {
        use plan_rollback_request::Target;

        match target {
            Target::TargetDeploy(name) => Self::Deploy(name),
            Target::Previous(previous) => Self::Previous(previous),
            Target::AsOf(time) => Self::AsOf(time),
        }
    }
}

impl From<create_rollback_request::Target> for Said {
    fn from(target: create_rollback_request::Target) -> Self {
        use create_rollback_request::Target;

        match target {
            Target::TargetDeploy(name) => Self::Deploy(name),
            Target::Previous(previous) => Self::Previous(previous),
            Target::AsOf(time) => Self::AsOf(time),
        }
    }
}

/// Reads target and scope. `parent` is none if it was wrong itself.
pub(super) fn read(
    fields: &mut Fields,
    parent: Option<&DeploymentName>,
    said: Option<Said>,
    scope: i32,
) -> Option<(Aim, Scope)> {
    let aim = match said {
        Some(Said::Deploy(name)) => deploy(fields, parent, &name),
        Some(Said::Previous(true)) => Some(Aim::Previous),
        Some(Said::Previous(false)) => {
            fields.violation("previous", "must be true, or left out");
            None
        }
        Some(Said::AsOf(time)) => convert::time(fields, "as_of", &time).map(Aim::AsOf),
        None => {
            fields.violation("target_deploy", "must be set, or previous, or as_of");
            None
        }
    };
    let scope = convert::scope(fields, "scope", scope);
    Some((aim?, scope?))
}

fn deploy(fields: &mut Fields, parent: Option<&DeploymentName>, name: &str) -> Option<Aim> {
    let name = fields.parse::<DeployName>("target_deploy", name)?;
    if parent.is_some_and(|parent| parent != name.deployment()) {
        fields.violation("target_deploy", "must be a deploy of the parent");
        return None;
    }
    Some(Aim::Deploy(name.number()))
}
