//! Asking the authorization service what a caller may do.
//!
//! People and service accounts are checked by their own token, so that their groups and the token's
//! revocation count. What a service may do stands in the trust file and needs no question. If the
//! question cannot be asked, the answer is UNAVAILABLE, never yes.

use model::names::{Principal, ResourceName};
use model::permissions::{Permission, PermissionSet};
use proto::authorization::v1::authorization_service_client::AuthorizationServiceClient;
use proto::authorization::v1::consistency::Requirement;
use proto::authorization::v1::permission_result::Result as Answer;
use proto::authorization::v1::{
    BatchCheckPermissionsRequest, BatchCheckPermissionsResponse, Consistency, PermissionQuestion,
};
use tonic::Code;

use crate::client::{ServiceChannel, retry};
use crate::identity::Caller;
use crate::problem::Problem;

const DEPENDENCY: &str = "authorization";

/// How many questions fit into one call.
const MOST_QUESTIONS: usize = 1_000;

/// How fresh the policy must be that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// At most 5 seconds behind: for reads.
    MinimizeLatency,
    /// The newest policy: for everything that changes something.
    FullyConsistent,
}

/// The authorization service, as other services ask it. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    client: AuthorizationServiceClient<ServiceChannel>,
}

impl Access {
    /// Asks over this connection.
    pub fn new(channel: ServiceChannel) -> Self {
        Self {
            client: AuthorizationServiceClient::new(channel),
        }
    }

    /// Fails unless the caller holds all `needed` permissions on the resource.
    ///
    /// A caller that lacks one is told which, if it holds any of `visible_by` or of `needed`: then
    /// it may know that the resource exists. To all others the resource is NOT_FOUND.
    pub async fn require(
        &self,
        caller: &Caller,
        resource: &ResourceName,
        needed: PermissionSet,
        visible_by: PermissionSet,
        freshness: Freshness,
    ) -> Result<(), Problem> {
        let held = self
            .held(caller, resource, needed.union(visible_by), freshness)
            .await?;
        judge(caller, resource, needed, held)
    }

    /// Which of `asked` the caller holds on the resource.
    pub async fn held(
        &self,
        caller: &Caller,
        resource: &ResourceName,
        asked: PermissionSet,
        freshness: Freshness,
    ) -> Result<PermissionSet, Problem> {
        let held = self
            .held_on_each(caller, std::slice::from_ref(resource), asked, freshness)
            .await?;
        Ok(held.into_iter().next().unwrap_or_default())
    }

    /// Which of `asked` the caller holds on each of the resources, in their order.
    pub async fn held_on_each(
        &self,
        caller: &Caller,
        resources: &[ResourceName],
        asked: PermissionSet,
        freshness: Freshness,
    ) -> Result<Vec<PermissionSet>, Problem> {
        if let Principal::Service(_) = caller.principal() {
            return Ok(vec![
                asked.intersection(caller.service_permissions());
                resources.len()
            ]);
        }
        let asked = asked.iter().collect::<Vec<_>>();
        let at_once = (MOST_QUESTIONS / asked.len().max(1)).max(1);
        let mut held = Vec::with_capacity(resources.len());
        for resources in resources.chunks(at_once) {
            held.extend(self.ask(caller, resources, &asked, freshness).await?);
        }
        Ok(held)
    }

    async fn ask(
        &self,
        caller: &Caller,
        resources: &[ResourceName],
        asked: &[Permission],
        freshness: Freshness,
    ) -> Result<Vec<PermissionSet>, Problem> {
        let questions = resources.iter().flat_map(|resource| {
            asked.iter().map(|permission| PermissionQuestion {
                permission: permission.to_string(),
                resource: resource.to_string(),
            })
        });
        let requirement = match freshness {
            Freshness::MinimizeLatency => Requirement::MinimizeLatency(true),
            Freshness::FullyConsistent => Requirement::FullyConsistent(true),
        };
        let request = BatchCheckPermissionsRequest {
            questions: questions.collect(),
            subject_token: caller.token().to_owned(),
            principal: String::new(),
            groups: Vec::new(),
            consistency: Some(Consistency {
                requirement: Some(requirement),
            }),
        };
        let response = retry(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.batch_check_permissions(request).await }
        })
        .await
        .map_err(|status| {
            if status.code() == Code::Unauthenticated {
                // The token that this service accepted is not accepted there: it was
                // revoked.
                Problem::unauthenticated().caused_by(status)
            } else {
                Problem::unavailable(DEPENDENCY, status)
            }
        })?;
        answers(response, resources.len(), asked)
    }
}

/// Fails unless a caller who holds `held` on the resource holds all of `needed`. Whoever holds none of
/// what was asked may not know that the resource exists.
pub fn judge(
    caller: &Caller,
    resource: &ResourceName,
    needed: PermissionSet,
    held: PermissionSet,
) -> Result<(), Problem> {
    let missing = needed.difference(held);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(denial(caller, resource, missing, held))
    }
}

/// What a caller is told who lacks permissions on a resource, and holds `held` there of what would
/// show it that the resource exists.
pub fn denial(
    caller: &Caller,
    resource: &ResourceName,
    missing: PermissionSet,
    held: PermissionSet,
) -> Problem {
    if held.is_empty() {
        Problem::not_found(resource.level().as_str(), resource)
    } else {
        Problem::permission_missing(caller.principal(), missing, resource)
    }
}

/// Reads the answers. A question without a clear yes is a no; a question that was not answered is
/// an outage.
fn answers(
    response: BatchCheckPermissionsResponse,
    resources: usize,
    asked: &[Permission],
) -> Result<Vec<PermissionSet>, Problem> {
    let BatchCheckPermissionsResponse {
        results,
        principal: _,
        policy_revision: _,
    } = response;
    if results.len() != resources * asked.len() {
        return Err(Problem::unavailable(
            DEPENDENCY,
            "it answered another number of questions",
        ));
    }
    let mut held = Vec::with_capacity(resources);
    for results in results.chunks(asked.len().max(1)) {
        let mut permissions = PermissionSet::default();
        for (permission, result) in asked.iter().zip(results) {
            match &result.result {
                Some(Answer::Decision(decision)) if decision.allowed => {
                    permissions.insert(*permission);
                }
                Some(Answer::Decision(_)) => {}
                Some(Answer::Error(error)) => {
                    return Err(Problem::unavailable(DEPENDENCY, error.message.clone()));
                }
                None => return Err(Problem::unavailable(DEPENDENCY, "it left out an answer")),
            }
        }
        held.push(permissions);
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use proto::authorization::v1::{Decision, PermissionResult};

    use super::*;

    const ASKED: [Permission; 2] = [
        Permission::DeploymentImagesPush,
        Permission::DeploymentDagsPush,
    ];

    fn decided(allowed: bool) -> PermissionResult {
        let decision = Decision {
            allowed,
            ..Decision::default()
        };
        PermissionResult {
            result: Some(Answer::Decision(decision)),
        }
    }

    fn read(results: Vec<PermissionResult>) -> Result<Vec<PermissionSet>, Code> {
        let response = BatchCheckPermissionsResponse {
            results,
            ..BatchCheckPermissionsResponse::default()
        };
        answers(response, 2, &ASKED).map_err(|problem| problem.code())
    }

    #[test]
    fn each_resource_gets_its_own_answers() {
        let held = read(vec![
            decided(true),
            decided(false),
            decided(false),
            decided(true),
        ]);
        let [images, dags] = ASKED;
        assert_eq!(
            held,
            Ok(vec![
                PermissionSet::of(&[images]),
                PermissionSet::of(&[dags])
            ])
        );
    }

    #[test]
    fn what_is_not_a_clear_answer_is_an_outage_and_never_a_yes() {
        let error = PermissionResult {
            result: Some(Answer::Error(tonic_types::Status::default())),
        };
        let nothing = PermissionResult { result: None };
        for unclear in [error, nothing] {
            let results = vec![decided(true), decided(true), decided(true), unclear];
            assert_eq!(read(results), Err(Code::Unavailable));
        }
        assert_eq!(read(vec![decided(true); 3]), Err(Code::Unavailable));
        assert_eq!(read(vec![decided(true); 5]), Err(Code::Unavailable));
    }
}
