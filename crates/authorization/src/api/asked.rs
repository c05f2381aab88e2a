//! Who a call is about: the caller, or the person whose token it brings.

use chassis::fields::Fields;
use chassis::identity::Caller;
use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use model::names::{Principal, ResourceName};
use model::permissions::{Permission, PermissionSet};
use proto::common::v1::ErrorReason;
use tonic::Code;

use super::Authorization;
use crate::decision_log::Question;
use crate::domain::subject::Subject;
use crate::domain::tokens::{Credential, TokenId};

const LONGEST_TOKEN: usize = 8 * 1024;

/// Somebody whose token was verified, as the policy sees them.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) subject: Subject,
    pub(super) credential: Credential,
    /// The id of the token, whoever has issued it.
    pub(super) token_id: Option<String>,
}

impl Asked {
    /// The caller itself.
    pub(super) fn caller(caller: &Caller, now: DateTime<Utc>) -> Result<Self, Problem> {
        let subject = Subject {
            principal: caller.principal().clone(),
            groups: caller.groups().to_vec(),
            service_permissions: caller.service_permissions(),
        };
        let token_id = caller.token_id().map(str::to_owned);
        let credential = match &subject.principal {
            Principal::User(_) | Principal::Group(_) | Principal::Service(_) => {
                Credential::Unrecorded
            }
            Principal::ServiceAccount(account) => Credential::Recorded {
                account: account.clone(),
                id: token_id
                    .as_deref()
                    .and_then(TokenId::parse)
                    .ok_or_else(|| {
                        Problem::unauthenticated().caused_by("the token's id was not made here")
                    })?,
                at: Some(now),
            },
        };
        Ok(Self {
            subject,
            credential,
            token_id,
        })
    }

    /// The person whose token the caller brings, or the caller itself if it brings none. Asking
    /// about others needs `system.permissions.check`, which only services have.
    pub(super) async fn person_or_caller(
        service: &Authorization,
        caller: &Caller,
        subject_token: &str,
    ) -> Result<Self, Problem> {
        if subject_token.is_empty() {
            return Self::caller(caller, service.environment.now());
        }
        require_of_service(service, caller, Permission::SystemPermissionsCheck)?;
        Self::person(service, subject_token).await
    }

    /// The person who has this token. Services speak for themselves, never through others.
    pub(super) async fn person(
        service: &Authorization,
        subject_token: &str,
    ) -> Result<Self, Problem> {
        if subject_token.len() > LONGEST_TOKEN {
            let mut fields = Fields::new();
            fields.violation("subject_token", "must have at most 8 KiB");
            return Err(fields.into_problem());
        }
        let person = service.verifier.identify(subject_token).await;
        let person = person.map_err(|error| error.into_problem(refused_subject_token()))?;
        if let Principal::Service(_) = person.principal() {
            return Err(refused_subject_token().caused_by("it is a service's own token"));
        }
        let now = service.environment.now();
        service.token_uses.saw(&person, now);
        Self::caller(&person, now)
    }
}

/// Fails unless the caller is a service that has the permission by configuration.
pub(super) fn require_of_service(
    service: &Authorization,
    caller: &Caller,
    permission: Permission,
) -> Result<(), Problem> {
    if caller.service_permissions().contains(permission) {
        return Ok(());
    }
    let principal = caller.principal();
    let missing = PermissionSet::of(&[permission]);
    let resource = ResourceName::System;
    let question = Question {
        caller: principal,
        principal,
        permissions: missing,
        resource: &resource,
        policy_revision: None,
    };
    let reason = "only services have it, by configuration";
    service.decisions.denied(question, &reason);
    Err(Problem::permission_missing(principal, missing, &resource))
}

/// Which check failed is told to the log only.
fn refused_subject_token() -> Problem {
    Problem::new(
        Code::Unauthenticated,
        ErrorReason::Unauthenticated,
        "the subject_token cannot be accepted",
    )
}
