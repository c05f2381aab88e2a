//! Reading the request of IssuePermit.

use std::fmt;

use chassis::convert;
use chassis::fields::Fields;
use chassis::problem::Problem;
use model::names::{DeployName, DeployNumber, DeploymentName, RollbackName};
use model::permissions::{Permission, PermissionSet};
use proto::authorization::v1::IssuePermitRequest;
use proto::authorization::v1::issue_permit_request as pb;
use uuid::Uuid;

use crate::domain::rollback_grant::{Bound, PERMITTED};

/// Digests are opaque here; those that are made have 64 to 80 characters.
const LONGEST_DIGEST: usize = 256;

/// A request that makes sense.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) rollback: RollbackName,
    pub(super) authority: Authority,
}

/// On whose word the permit is asked for.
pub(super) enum Authority {
    /// The person's own.
    Person { subject_token: String, bound: Bound },
    /// That of the grant that the first permit has left.
    Grant,
}

/// The token is shown to nobody.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person {
                subject_token: _,
                bound,
            } => f
                .debug_struct("Person")
                .field("bound", bound)
                .finish_non_exhaustive(),
            Self::Grant => f.write_str("Grant"),
        }
    }
}

pub(super) fn decode(request: IssuePermitRequest) -> Result<Wanted, Problem> {
    let mut fields = Fields::new();
    let rollback = fields.parse::<RollbackName>("rollback", &request.rollback);
    let authority = match request.authority.clone() {
        Some(pb::Authority::SubjectToken(subject_token)) if !subject_token.is_empty() => {
            decode_bound(&mut fields, rollback.clone(), request).map(|bound| Authority::Person {
                subject_token,
                bound,
            })
        }
        Some(pb::Authority::SubjectToken(_)) => {
            fields.violation("subject_token", "must be set");
            None
        }
        Some(pb::Authority::Grant(true)) => {
            refuse_bound(&mut fields, &request).then_some(Authority::Grant)
        }
        Some(pb::Authority::Grant(false)) => {
            fields.violation("grant", "must be true, or unset");
            None
        }
        None => {
            fields.violation("authority", "must be subject_token or grant");
            None
        }
    };
    match (rollback, authority) {
        (Some(rollback), Some(authority)) => Ok(Wanted {
            rollback,
            authority,
        }),
        (_, _) => Err(fields.into_problem()),
    }
}

/// The rollback has a grant already, and it is not for this.
pub(super) fn another_grant() -> Problem {
    let mut fields = Fields::new();
    fields.violation(
        "rollback",
        "a permit was asked for before for this rollback, for another person or with other fields",
    );
    fields.into_problem()
}

fn decode_bound(
    fields: &mut Fields,
    rollback: Option<RollbackName>,
    request: IssuePermitRequest,
) -> Option<Bound> {
    let IssuePermitRequest {
        rollback: _,
        authority: _,
        deployment_uid,
        target_deploy,
        expected_latest_deploy,
        scope,
        permissions,
        revision_digest,
        plan_digest,
        hold,
    } = request;
    let deployment = rollback.as_ref().map(RollbackName::deployment);
    let deployment_uid = fields.parse::<Uuid>("deployment_uid", &deployment_uid);
    let target_deploy = deploy(fields, "target_deploy", &target_deploy, deployment);
    let expected_latest_deploy = deploy(
        fields,
        "expected_latest_deploy",
        &expected_latest_deploy,
        deployment,
    );
    let target_deploy = target_deploy.and_then(|target| {
        fields.check(
            "target_deploy",
            target,
            |target| match expected_latest_deploy {
                Some(latest) if *target > latest => {
                    Err("must not come after expected_latest_deploy")
                }
                Some(_) | None => Ok(()),
            },
        )
    });
    let scope = convert::scope(fields, "scope", scope);
    let permissions = decode_permissions(fields, &permissions);
    let revision_digest = digest(fields, "revision_digest", revision_digest);
    let plan_digest = digest(fields, "plan_digest", plan_digest);
    Some(Bound {
        rollback: rollback?,
        deployment_uid: deployment_uid?,
        target_deploy: target_deploy?,
        expected_latest_deploy: expected_latest_deploy?,
        scope: scope?,
        permissions: permissions?,
        hold,
        revision_digest: revision_digest?,
        plan_digest: plan_digest?,
    })
}

fn deploy(
    fields: &mut Fields,
    field: &str,
    text: &str,
    deployment: Option<&DeploymentName>,
) -> Option<DeployNumber> {
    let name = fields.parse::<DeployName>(field, text)?;
    if deployment.is_some_and(|deployment| name.deployment() != deployment) {
        fields.violation(field, "must be of the Deployment that the rollback is of");
        return None;
    }
    Some(name.number())
}

fn decode_permissions(fields: &mut Fields, texts: &[String]) -> Option<PermissionSet> {
    const FIELD: &str = "permissions";
    let mut permissions = PermissionSet::EMPTY;
    // One more than there can be without repetition.
    for text in texts.iter().take(3) {
        let permission = fields.parse::<Permission>(FIELD, text)?;
        if !PERMITTED.contains(permission) || permissions.contains(permission) {
            fields.violation(
                FIELD,
                "must be of deployment.images.push, deployment.dags.push, each once",
            );
            return None;
        }
        permissions.insert(permission);
    }
    if permissions.is_empty() {
        fields.violation(FIELD, "must be set");
        return None;
    }
    Some(permissions)
}

fn digest(fields: &mut Fields, field: &str, text: String) -> Option<String> {
    if text.is_empty() {
        fields.violation(field, "must be set");
        return None;
    }
    fields.check(field, text, |text| {
        let valid =
            text.len() <= LONGEST_DIGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        valid
            .then_some(())
            .ok_or("must have at most 256 visible ASCII characters")
    })
}

/// By a grant, the bound fields are those of the grant. Fails if a caller says others.
fn refuse_bound(fields: &mut Fields, request: &IssuePermitRequest) -> bool {
    let IssuePermitRequest {
        rollback: _,
        authority: _,
        deployment_uid,
        target_deploy,
        expected_latest_deploy,
        scope,
        permissions,
        revision_digest,
        plan_digest,
        hold,
    } = request;
    let set = [
        ("deployment_uid", !deployment_uid.is_empty()),
        ("target_deploy", !target_deploy.is_empty()),
        ("expected_latest_deploy", !expected_latest_deploy.is_empty()),
        ("scope", *scope != 0),
        ("permissions", !permissions.is_empty()),
        ("revision_digest", !revision_digest.is_empty()),
        ("plan_digest", !plan_digest.is_empty()),
        ("hold", *hold),
    ];
    let mut none = true;
    for (field, _) in set.iter().filter(|(_, is_set)| *is_set) {
        fields.violation(field, "must not be set: it is taken from the grant");
        none = false;
    }
    none
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_does_not_show_the_token_that_it_brings() {
        let deployment = "workspaces/w/deployments/d";
        let wanted = decode(IssuePermitRequest {
            rollback: format!("{deployment}/rollbacks/11111111-1111-4111-8111-111111111111"),
            authority: Some(pb::Authority::SubjectToken("e30.e30.signature".to_owned())),
            deployment_uid: "22222222-2222-4222-8222-222222222222".to_owned(),
            target_deploy: format!("{deployment}/deploys/3"),
            expected_latest_deploy: format!("{deployment}/deploys/5"),
            scope: proto::common::v1::RollbackScope::Image.into(),
            permissions: vec!["deployment.images.push".to_owned()],
            revision_digest: "ab".repeat(32),
            plan_digest: "cd".repeat(32),
            hold: false,
        });
        let text = format!("{:?}", wanted.unwrap());
        assert!(text.contains(&"cd".repeat(32)), "{text}");
        assert!(!text.contains("signature"), "{text}");
    }
}
