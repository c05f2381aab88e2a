//! ApplyPolicy: makes roles and bindings be as a policy file says.

use chassis::fields::Fields;
use chassis::identity;
use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use model::names::{ResourceName, RoleBindingId};
use model::permissions::{Permission, PermissionSet};
use proto::authorization::v1::{ApplyPolicyRequest, ApplyPolicyResponse};
use proto::common::v1::ErrorReason;
use tonic::{Code, Request};

use super::asked::Asked;
use super::authorize::{administering, authorize};
use super::change::{self, Attempts};
use super::{Authorization, encode, problems};
use crate::domain::grant_rule::{self, Ungrantable};
use crate::domain::index::Index;
use crate::domain::policy_change::{Author, PolicyChange, Position};
use crate::domain::policy_file::{
    Gain, Plan, Planned, PolicyFile, Refused, Violation, Violations, plan,
};
use crate::domain::subject::Subject;
use crate::store::{self, Changed};

/// How many changes are told, so that the answer is one that every client takes.
const MOST_CHANGES_TOLD: usize = 1_000;

pub(super) async fn handle(
    service: &Authorization,
    request: Request<ApplyPolicyRequest>,
) -> Result<ApplyPolicyResponse, Problem> {
    let caller = identity::caller(&request)?;
    let request = request.into_inner();
    let now = service.environment.now();
    let Asked {
        subject,
        credential,
        token_id: _,
    } = Asked::caller(&caller, now)?;

    // What a file asks for shows only when it was read, which is not done for everybody.
    let index = service.policy.newest(&credential).await?;
    if !administers_somewhere(&index, &subject, now) {
        let system = ResourceName::System;
        authorize(service, &index, &subject, administering(&system), &system)?;
    }
    let Wanted {
        file,
        validate_only,
        reason,
    } = decode(request, now).await?;
    let mut author = change::author(&subject, now, reason);
    author.managed_by = Some(file.name.clone());
    let application = Application {
        service,
        subject: &subject,
        file: &file,
        author: &author,
        validate_only,
    };

    let mut attempts = Attempts::begin(service, &credential).await;
    let Changed {
        value: plan,
        revision,
        made,
    } = loop {
        let index = attempts.policy().await?;
        let written = application.attempt(&index).await?;
        if let Some(changed) = attempts.end(written).await? {
            break changed;
        }
    };
    let changes = plan.changes();
    if made {
        let principal = &subject.principal;
        tracing::info!(%principal, policy = %file.name, changes = changes.len(), "policy applied");
    }
    let change_count = i32::try_from(changes.len()).unwrap_or(i32::MAX);
    let changes = (1..)
        .zip(changes)
        .take(MOST_CHANGES_TOLD)
        .map(|(number, change)| {
            let position = Position { revision, number };
            let author = author.clone();
            let mut told = encode::policy_change(&PolicyChange {
                position,
                author,
                change,
            });
            if !made {
                told.policy_revision = 0;
                told.change_time = None;
            }
            told
        });
    Ok(ApplyPolicyResponse {
        name: file.name.to_string(),
        changes: changes.collect(),
        policy_revision: revision.0,
        change_count,
    })
}

/// Whether the caller administers the roles of anything.
fn administers_somewhere(index: &Index, caller: &Subject, now: DateTime<Utc>) -> bool {
    let administering = PermissionSet::of(&[
        Permission::SystemIamUpdate,
        Permission::WorkspaceIamUpdate,
        Permission::DeploymentUserRolesUpdate,
    ]);
    caller
        .principals()
        .flat_map(|principal| index.holdings(principal, now))
        .filter_map(|holding| holding.role)
        .any(|role| !role.permissions.intersection(administering).is_empty())
}

struct Wanted {
    file: PolicyFile,
    validate_only: bool,
    reason: String,
}

async fn decode(request: ApplyPolicyRequest, now: DateTime<Utc>) -> Result<Wanted, Problem> {
    let ApplyPolicyRequest {
        policy,
        validate_only,
        reason,
    } = request;
    let mut fields = Fields::new();
    let reason = change::reason(&mut fields, &reason);
    // A large file takes longer than other calls should have to wait for.
    let file = tokio::task::spawn_blocking(move || PolicyFile::read(&policy, now));
    let file = file
        .await
        .map_err(Problem::internal)?
        .map_err(|violations| add(&mut fields, &violations));
    match (file, reason) {
        (Ok(file), Some(reason)) => Ok(Wanted {
            file,
            validate_only,
            reason,
        }),
        (_, _) => Err(fields.into_problem()),
    }
}

fn add(fields: &mut Fields, violations: &Violations) {
    for violation in violations.iter() {
        let Violation { field, place, what } = violation;
        let field = match field.as_str() {
            "" => "policy".to_owned(),
            field => format!("policy.{field}"),
        };
        fields.violation(&field, &format!("{place}: {what}"));
    }
}

/// A file that somebody wants to apply.
struct Application<'a> {
    service: &'a Authorization,
    subject: &'a Subject,
    file: &'a PolicyFile,
    author: &'a Author,
    validate_only: bool,
}

impl Application<'_> {
    /// Decides by the index what has to change, and whether the caller may do that; and does it, if
    /// that is wanted.
    async fn attempt(&self, index: &Index) -> Result<Result<Changed<Plan>, store::Error>, Problem> {
        let Self {
            service,
            subject: _,
            file,
            author,
            validate_only,
        } = *self;
        let named = file.resources();
        for resource in &named {
            self.authorize(index, resource)?;
        }
        let revision = index.revision();
        let current = match service.store.concerning(file, revision).await {
            Ok(current) => current,
            Err(error) => return Ok(Err(error)),
        };
        let new_id = || RoleBindingId::new(service.environment.new_uuid());
        let plan = plan(file, &current, author, new_id);
        for resource in plan.resources().difference(&named) {
            self.authorize_unnamed(index, resource)?;
        }
        let planned = Planned {
            file,
            current: &current,
            index,
            plan: &plan,
            now: author.time,
        };
        planned.check().map_err(|error| refused(&error))?;
        for gain in planned.gains() {
            self.check_grantable(index, &gain)?;
        }
        if validate_only || plan.is_empty() {
            return Ok(Ok(Changed {
                value: plan,
                revision,
                made: false,
            }));
        }
        Ok(service.store.apply(revision, plan, author).await)
    }

    fn authorize(&self, index: &Index, resource: &ResourceName) -> Result<(), Problem> {
        let permission = administering(resource);
        authorize(self.service, index, self.subject, permission, resource)
    }

    /// The file does not name the resource: an earlier one of its name did. To a caller who may not
    /// see it, it must not be named.
    fn authorize_unnamed(&self, index: &Index, resource: &ResourceName) -> Result<(), Problem> {
        if index
            .held(self.subject, resource, self.author.time)
            .is_empty()
        {
            self.authorize(index, &ResourceName::System)?;
        }
        self.authorize(index, resource)
    }

    fn check_grantable(&self, index: &Index, gain: &Gain) -> Result<(), Problem> {
        let Gain {
            resource,
            permissions,
            expire_time,
        } = gain;
        let (subject, now) = (self.subject, self.author.time);
        match permissions {
            Some(permissions) => grant_rule::check_permissions(
                index,
                subject,
                *permissions,
                resource,
                now,
                *expire_time,
            ),
            None => Err(Ungrantable::Unreadable {
                resource: resource.clone(),
            }),
        }
        .map_err(|error| problems::ungrantable(self.service, index, subject, &error))
    }
}

fn refused(error: &Refused) -> Problem {
    let failed = |reason| Problem::new(Code::FailedPrecondition, reason, error.to_string());
    match error {
        Refused::ManagedByAnother { name, file } => failed(ErrorReason::ManagedByAnotherPolicy)
            .with("resource", name)
            .with("managed_by", file),
        Refused::Unbindable(violations) => {
            let mut fields = Fields::new();
            add(&mut fields, violations);
            fields.into_problem()
        }
        Refused::UnknownRole { field: _, role } => Problem::new(
            Code::NotFound,
            ErrorReason::ResourceNotFound,
            format!("policy.{error}"),
        )
        .about("role", role),
        Refused::TooWide { binding, source } => problems::role_too_wide(binding, source),
        Refused::RoleBound { role, bindings } => failed(ErrorReason::RoleBound)
            .with("role", role)
            .with("role_bindings", bindings),
        Refused::LastAdministrator(name) => store::Error::LastAdministrator(name.clone()).into(),
    }
}
