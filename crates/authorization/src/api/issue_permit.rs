//! IssuePermit: checks afresh whether a person may do one rollback, and signs that they may.
//!
//! A permit says when it was issued: before the policy was read that allowed it. So a permit that
//! arrives after a revoke was answered was issued before it, and is spent seconds later.

mod decode;

use std::fmt;

use chassis::convert::timestamp;
use chassis::identity::permit::{self, MAX_PERMIT_LIFETIME, PERMIT_VERSION};
use chassis::identity::{self, AUTHORIZATION_ISSUER, PermitClaims};
use chassis::problem::Problem;
use chrono::{DateTime, SubsecRound, Utc};
use model::names::{Principal, ResourceName, RollbackName, ServiceName};
use model::permissions::{Permission, PermissionSet};
use proto::authorization::v1::{IssuePermitRequest, IssuePermitResponse};
use tonic::Request;

use self::decode::{Authority, Wanted};
use super::Authorization;
use super::asked::{Asked, require_of_service};
use crate::decision_log::Question;
use crate::domain::decision::Decision;
use crate::domain::index::Index;
use crate::domain::policy::PolicyRevision;
use crate::domain::rollback_grant::{Bound, Grantee, RollbackGrant};
use crate::domain::subject::Subject;
use crate::domain::tokens::{Credential, TokenId};
use crate::policy;
use crate::store::StoredGrant;

pub(super) async fn handle(
    service: &Authorization,
    request: Request<IssuePermitRequest>,
) -> Result<IssuePermitResponse, Problem> {
    let caller = identity::caller(&request)?;
    require_of_service(service, &caller, Permission::SystemPermitsIssue)?;
    let Wanted {
        rollback,
        authority,
    } = decode::decode(request.into_inner())?;
    let asking = Asking {
        service,
        caller: caller.principal(),
        resource: rollback.deployment().clone().into(),
        rollback: &rollback,
    };

    let issue_time = service.environment.now().trunc_subsecs(0);
    let (grant, revision) = match authority {
        Authority::Person {
            subject_token,
            bound,
        } => asking.first(&subject_token, &bound).await?,
        Authority::Grant => asking.again().await?,
    };
    asking.sign(grant, revision, issue_time)
}

/// A service that asks for a permit.
struct Asking<'a> {
    service: &'a Authorization,
    caller: &'a Principal,
    rollback: &'a RollbackName,
    /// The Deployment of the rollback.
    resource: ResourceName,
}

impl Asking<'_> {
    /// The first permit of a rollback, on the person's own word. It leaves a grant.
    async fn first(
        &self,
        subject_token: &str,
        bound: &Bound,
    ) -> Result<(RollbackGrant, PolicyRevision), Problem> {
        let Asked {
            subject,
            credential,
            token_id,
        } = Asked::person(self.service, subject_token)
            .await
            .inspect_err(|problem| {
                self.refuse(self.caller, bound.permissions, None, problem);
            })?;
        let index = match self.service.policy.newest(&credential).await {
            Err(error @ policy::Error::TokenRefused) => {
                self.refuse(&subject.principal, bound.permissions, None, &error);
                return Err(error.into());
            }
            index => index?,
        };
        self.check(&index, &subject, bound)?;

        let Subject {
            principal: person,
            groups,
            service_permissions: _,
        } = subject;
        let grantee = Grantee {
            person,
            groups,
            token_id,
        };
        let StoredGrant { grant, expired } = self.service.store.keep_grant(&grantee, bound).await?;
        if !grant.is_for(&grantee, bound) {
            return Err(decode::another_grant());
        }
        if expired {
            return Err(self.no_grant());
        }
        Ok((grant, index.revision()))
    }

    /// Another permit of a rollback, by the grant that the first one left. The policy and the
    /// standing of the person's token are looked at again; that the token has expired since does not
    /// count.
    async fn again(&self) -> Result<(RollbackGrant, PolicyRevision), Problem> {
        let Some(StoredGrant {
            grant,
            expired: false,
        }) = self.service.store.grant(self.rollback.id()).await?
        else {
            return Err(self.no_grant());
        };
        if grant.bound.rollback != *self.rollback {
            return Err(self.no_grant());
        }
        let subject = grant.grantee.subject();
        let credential = credential(&grant.grantee)?;
        let index = match self.service.policy.newest(&credential).await {
            Err(policy::Error::TokenRefused) => return Err(self.token_taken_back(&grant)),
            index => index?,
        };
        self.check(&index, &subject, &grant.bound)?;
        Ok((grant, index.revision()))
    }

    /// Fails unless the person holds all that the rollback needs. Whether they may know that the
    /// Deployment exists is the caller's business.
    fn check(&self, index: &Index, person: &Subject, bound: &Bound) -> Result<(), Problem> {
        let now = self.service.environment.now();
        let denied = bound.permissions.iter().filter_map(|permission| {
            match index.decide(person, permission, &self.resource, now) {
                Decision::Allowed(_) => None,
                Decision::Denied(denied) => Some(denied),
            }
        });
        let denied = denied.collect::<Vec<_>>();
        if denied.is_empty() {
            return Ok(());
        }
        let missing = denied.iter().map(|denied| denied.permission);
        let missing = missing.collect::<PermissionSet>();
        let reasons = denied.iter().map(ToString::to_string).collect::<Vec<_>>();
        let revision = Some(index.revision());
        self.refuse(&person.principal, missing, revision, &reasons.join("; "));
        Err(Problem::permission_missing(
            &person.principal,
            missing,
            &self.resource,
        ))
    }

    fn no_grant(&self) -> Problem {
        let reason = "the rollback has no grant, or none any more";
        self.refuse(self.caller, PermissionSet::EMPTY, None, &reason);
        Problem::not_found("rollback grant", self.rollback)
    }

    /// Without the token the person holds nothing of what they held by it.
    fn token_taken_back(&self, grant: &RollbackGrant) -> Problem {
        let RollbackGrant {
            grantee,
            bound,
            expire_time: _,
        } = grant;
        let (person, permissions) = (&grantee.person, bound.permissions);
        let reason = "the token of the grant was revoked, or is not known any more";
        self.refuse(person, permissions, None, &reason);
        Problem::permission_missing(person, permissions, &self.resource)
    }

    /// Tells the log. If it is not known for whom the permit would be, it is the caller's refusal.
    fn refuse(
        &self,
        principal: &Principal,
        permissions: PermissionSet,
        policy_revision: Option<PolicyRevision>,
        reason: &impl fmt::Display,
    ) {
        let question = self.question(principal, permissions, policy_revision);
        let decisions = &self.service.decisions;
        decisions.permit_refused(question, self.rollback, reason);
    }

    fn question<'a>(
        &'a self,
        principal: &'a Principal,
        permissions: PermissionSet,
        policy_revision: Option<PolicyRevision>,
    ) -> Question<'a> {
        Question {
            caller: self.caller,
            principal,
            permissions,
            resource: &self.resource,
            policy_revision,
        }
    }

    fn sign(
        &self,
        grant: RollbackGrant,
        revision: PolicyRevision,
        issue_time: DateTime<Utc>,
    ) -> Result<IssuePermitResponse, Problem> {
        let RollbackGrant {
            grantee,
            bound,
            expire_time: grant_expire_time,
        } = grant;
        let Grantee {
            person,
            groups: _,
            token_id: _,
        } = grantee;
        let Bound {
            rollback,
            deployment_uid,
            target_deploy,
            expected_latest_deploy,
            scope,
            permissions,
            hold,
            revision_digest,
            plan_digest,
        } = bound;
        let expire_time = issue_time + MAX_PERMIT_LIFETIME;
        let claims = PermitClaims {
            version: PERMIT_VERSION,
            issuer: AUTHORIZATION_ISSUER.to_owned(),
            audience: ServiceName::DeployRegistry,
            actor: self.caller.clone(),
            person,
            deployment: rollback.deployment().clone(),
            deployment_uid,
            target_deploy,
            expected_latest_deploy,
            scope,
            permissions,
            hold,
            revision_digest,
            plan_digest,
            rollback: rollback.id(),
            policy_revision: revision.0,
            issue_time,
            expire_time,
            id: self.service.environment.new_uuid(),
        };
        let permit =
            permit::sign(&self.service.signing.signer(), &claims).map_err(Problem::internal)?;
        let question = self.question(&claims.person, permissions, Some(revision));
        let decisions = &self.service.decisions;
        decisions.permit_issued(question, &rollback, claims.id);
        Ok(IssuePermitResponse {
            permit,
            principal: claims.person.to_string(),
            expire_time: Some(timestamp(expire_time)),
            grant_expire_time: Some(timestamp(grant_expire_time)),
            policy_revision: revision.0,
        })
    }
}

/// What must still be known of the token that the grant was given for.
fn credential(grantee: &Grantee) -> Result<Credential, Problem> {
    match &grantee.person {
        Principal::User(_) | Principal::Group(_) | Principal::Service(_) => {
            Ok(Credential::Unrecorded)
        }
        Principal::ServiceAccount(account) => {
            let id = grantee.token_id.as_deref().and_then(TokenId::parse);
            let id = id.ok_or_else(|| Problem::internal("a grant has lost the token's id"))?;
            Ok(Credential::Recorded {
                account: account.clone(),
                id,
                at: None,
            })
        }
    }
}
