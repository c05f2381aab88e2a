//! IssuePermit: checks afresh whether a person may do one rollback, and signs that they may.
//!
//! A permit says when it was issued: before the policy was read that allowed it. So a permit that
//! arrives after a revoke was answered was issued before it, and is spent seconds later.

mod decode;

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
use super::asked::{Asked, require_of_service};
use super::{Authorization, authorize};
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

    let issue_time = service.environment.now().trunc_subsecs(0);
    let (grant, revision) = match authority {
        Authority::Person {
            subject_token,
            bound,
        } => first(service, &subject_token, &bound).await?,
        Authority::Grant => again(service, &rollback).await?,
    };
    sign(service, caller.principal(), grant, revision, issue_time)
}

/// The first permit of a rollback, on the person's own word. It leaves a grant.
async fn first(
    service: &Authorization,
    subject_token: &str,
    bound: &Bound,
) -> Result<(RollbackGrant, PolicyRevision), Problem> {
    let Asked {
        subject,
        credential,
        token_id,
    } = Asked::person(service, subject_token)?;
    let index = service.policy.newest(&credential).await?;
    check(service, &index, &subject, bound)?;

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
    let StoredGrant { grant, expired } = service.store.keep_grant(&grantee, bound).await?;
    if !grant.is_for(&grantee, bound) {
        return Err(decode::another_grant());
    }
    if expired {
        return Err(no_grant(&bound.rollback));
    }
    Ok((grant, index.revision()))
}

/// Another permit of a rollback, by the grant that the first one left. The policy and the standing
/// of the person's token are looked at again; that the token has expired since does not count.
async fn again(
    service: &Authorization,
    rollback: &RollbackName,
) -> Result<(RollbackGrant, PolicyRevision), Problem> {
    let Some(StoredGrant {
        grant,
        expired: false,
    }) = service.store.grant(rollback.id()).await?
    else {
        return Err(no_grant(rollback));
    };
    if grant.bound.rollback != *rollback {
        return Err(no_grant(rollback));
    }
    let subject = grant.grantee.subject();
    let index = match service.policy.newest(&credential(&grant.grantee)?).await {
        Err(policy::Error::TokenRefused) => return Err(token_taken_back(&grant)),
        index => index?,
    };
    check(service, &index, &subject, &grant.bound)?;
    Ok((grant, index.revision()))
}

/// Fails unless the person holds all that the rollback needs. Whether they may know that the
/// Deployment exists is the caller's business.
fn check(
    service: &Authorization,
    index: &Index,
    person: &Subject,
    bound: &Bound,
) -> Result<(), Problem> {
    let now = service.environment.now();
    let deployment = ResourceName::from(bound.rollback.deployment().clone());
    let missing = bound.permissions.iter().filter(|permission| {
        match index.decide(person, *permission, &deployment, now) {
            Decision::Allowed(_) => false,
            Decision::Denied(denied) => {
                authorize::log_denied(&denied);
                true
            }
        }
    });
    let missing = missing.collect::<PermissionSet>();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Problem::permission_missing(
            &person.principal,
            missing,
            &deployment,
        ))
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

fn no_grant(rollback: &RollbackName) -> Problem {
    Problem::not_found("rollback grant", rollback)
}

/// Without the token the person holds nothing of what they held by it.
fn token_taken_back(grant: &RollbackGrant) -> Problem {
    let RollbackGrant {
        grantee,
        bound,
        expire_time: _,
    } = grant;
    let principal = &grantee.person;
    let resource = bound.rollback.deployment();
    let permissions = bound.permissions;
    let reason = "the token of the grant is not known any more";
    tracing::info!(%principal, %permissions, %resource, reason, "denied");
    Problem::permission_missing(principal, permissions, resource)
}

fn sign(
    service: &Authorization,
    actor: &Principal,
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
        revision_digest,
        plan_digest,
    } = bound;
    let expire_time = issue_time + MAX_PERMIT_LIFETIME;
    let claims = PermitClaims {
        version: PERMIT_VERSION,
        issuer: AUTHORIZATION_ISSUER.to_owned(),
        audience: ServiceName::DeployRegistry,
        actor: actor.clone(),
        person,
        deployment: rollback.deployment().clone(),
        deployment_uid,
        target_deploy,
        expected_latest_deploy,
        scope,
        permissions,
        revision_digest,
        plan_digest,
        rollback: rollback.id(),
        policy_revision: revision.0,
        issue_time,
        expire_time,
        id: service.environment.new_uuid(),
    };
    let permit = permit::sign(&service.signing.signer(), &claims).map_err(Problem::internal)?;
    tracing::info!(
        principal = %claims.person, %permissions, resource = %claims.deployment, %rollback,
        permit_id = %claims.id, policy_revision = revision.0, "permit issued"
    );
    Ok(IssuePermitResponse {
        permit,
        principal: claims.person.to_string(),
        expire_time: Some(timestamp(expire_time)),
        grant_expire_time: Some(timestamp(grant_expire_time)),
        policy_revision: revision.0,
    })
}
