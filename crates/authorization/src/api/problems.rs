//! What the caller is told when the store or the policy fails.

use std::time::Duration;

use chassis::problem::{Problem, comma_separated};
use model::names::RoleName;
use model::permissions::PermissionSet;
use proto::common::v1::ErrorReason;
use tonic::Code;

use super::{Authorization, encode};
use crate::decision_log::Question;
use crate::domain::grant_rule::Ungrantable;
use crate::domain::index::Index;
use crate::domain::policy::{Role, RoleBinding, Unbindable};
use crate::domain::subject::Subject;
use crate::{policy, store};

/// How long to wait before asking a policy again that was not there yet.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Database(error) => error.into(),
            store::Error::Reused(reused) => reused.into(),
            store::Error::PolicyMoved => policy_keeps_moving().caused_by(error),
            store::Error::RoleExists(name) => Self::new(
                Code::AlreadyExists,
                ErrorReason::ResourceAlreadyExists,
                format!("{name} exists already"),
            )
            .about("role", &name),
            store::Error::NoSuchRole(name) => Self::not_found("role", &name),
            store::Error::RoleBound { role, bound } => Self::new(
                Code::FailedPrecondition,
                ErrorReason::RoleBound,
                format!(
                    "{role} has {bound} bindings: delete them first, or delete the role with force"
                ),
            )
            .with("role", role)
            .with("role_bindings", bound),
            store::Error::BindingExists(name) => Self::new(
                Code::AlreadyExists,
                ErrorReason::ResourceAlreadyExists,
                format!("{name} gives the same, but until another time: delete it first"),
            )
            .about("roleBinding", &name),
            store::Error::NoSuchBinding(name) => Self::not_found("roleBinding", &name),
            store::Error::NoSuchToken(name) => Self::not_found("serviceAccountToken", &name),
            store::Error::LimitExceeded(limit) => Self::new(
                Code::ResourceExhausted,
                ErrorReason::LimitExceeded,
                limit.to_string(),
            )
            .with("limit", limit.most()),
            store::Error::LastAdministrator(name) => Self::new(
                Code::FailedPrecondition,
                ErrorReason::LastAdministrator,
                "this is the last binding of SYSTEM_ADMIN on the system that does not expire, without \
                 which nobody could give roles any more: make another administrator first",
            )
            .with("role_binding", name),
        }
    }
}

impl From<policy::Error> for Problem {
    fn from(error: policy::Error) -> Self {
        match error {
            policy::Error::Store(error) => error.into(),
            policy::Error::Timeout { limit: _ } | policy::Error::Stale => {
                Self::unavailable("the database", error)
            }
            policy::Error::NotReached {
                wanted: _,
                newest: _,
            } => Self::new(
                Code::Unavailable,
                ErrorReason::DependencyUnavailable,
                error.to_string(),
            )
            .with("dependency", "policy")
            .retry_after(RETRY_AFTER),
            policy::Error::TokenRefused => Self::unauthenticated().caused_by(error),
            policy::Error::Build(error) => Self::internal(error),
        }
    }
}

/// Others change the policy faster than this call can decide about it.
pub(super) fn policy_keeps_moving() -> Problem {
    Problem::new(
        Code::Unavailable,
        ErrorReason::DependencyUnavailable,
        "the policy changed during every attempt to change it; try again",
    )
    .with("dependency", "policy")
    .retry_after(RETRY_AFTER)
}

/// Fails if the caller has read another state of the role than this one. Without an etag it takes
/// whatever is there.
pub(super) fn check_etag(role: &Role, etag: &str) -> Result<(), Problem> {
    if etag.is_empty() || etag == encode::etag(role) {
        return Ok(());
    }
    let name = &role.name;
    let message = format!("{name} was changed since it was read: read it again");
    let problem = Problem::new(Code::Aborted, ErrorReason::EtagMismatch, message);
    Err(problem.with("resource", name))
}

/// Calls change custom roles only.
pub(super) fn role_built_in(role: &RoleName) -> Problem {
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::RoleBuiltIn,
        format!("{role} is built in, and cannot be changed or deleted by a call"),
    )
    .with("role", role)
}

/// The role would be bound where what it holds means nothing.
pub(super) fn role_too_wide(binding: &RoleBinding, error: &Unbindable) -> Problem {
    let permissions = match error {
        Unbindable::Elsewhere { role: _ } => PermissionSet::EMPTY,
        Unbindable::TooWide {
            role: _,
            level: _,
            permissions,
        } => *permissions,
    };
    let name = &binding.name;
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::RoleTooWide,
        format!("{error}: {name} is such a binding"),
    )
    .with("role", &binding.role)
    .with("role_binding", name)
    .with("permissions", comma_separated(permissions.iter()))
}

/// The caller would give what it does not hold.
pub(super) fn ungrantable(
    service: &Authorization,
    index: &Index,
    granter: &Subject,
    error: &Ungrantable,
) -> Problem {
    let principal = &granter.principal;
    let (message, permissions, resource) = match error {
        Ungrantable::Exceeds { resource, missing } => {
            let permissions = comma_separated(missing.iter());
            let message = format!(
                "nobody can grant what they do not hold, and {principal} lacks {permissions} on \
                 {resource}"
            );
            (message, *missing, resource)
        }
        Ungrantable::Outlasts { resource, missing } => {
            let permissions = comma_separated(missing.iter());
            let message = format!(
                "nobody can grant what they do not hold for as long, and {principal} has \
                 {permissions} on {resource} by a binding that expires before: ask for an earlier \
                 expire_time"
            );
            (message, *missing, resource)
        }
        Ungrantable::Unreadable { resource } => {
            let message = format!(
                "nobody can grant what they do not hold, and a role on {resource} holds what this \
                 release cannot read"
            );
            (message, PermissionSet::EMPTY, resource)
        }
    };
    let question = Question {
        caller: principal,
        principal,
        permissions,
        resource,
        policy_revision: Some(index.revision()),
    };
    service.decisions.denied(question, error);
    Problem::new(
        Code::PermissionDenied,
        ErrorReason::GrantExceedsOwnPermissions,
        message,
    )
    .with("permissions", comma_separated(permissions.iter()))
    .with("resource", resource)
    .with("principal", principal)
}
