use super::*;

fn alice() -> Principal {
    Principal::user("alice").unwrap()
}

#[test]
fn a_chain_tells_every_cause_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the database")]
    struct Outer(#[source] Repeating);
    #[derive(Debug, thiserror::Error)]
    #[error("the driver says: {0}")]
    struct Repeating(#[source] std::io::Error);
    let refused = std::io::Error::other("refused");
    assert_eq!(
        chain(&Outer(Repeating(refused))),
        "cannot open the database: the driver says: refused"
    );
    let status = Status::from_error(Box::new(std::io::Error::other("gone")));
    assert!(!chain(&status).contains("source"), "{}", chain(&status));
}

#[test]
fn a_status_is_never_too_large_for_a_client() {
    let texts = ["x".repeat(10_000), "é".repeat(10_000), "\n".repeat(10_000)];
    for text in texts {
        let mut problem = Problem::new(
            Code::FailedPrecondition,
            ErrorReason::RollbackBlocked,
            &text,
        )
        .with("blockers", &text)
        .about("deployment", &"workspaces/data/deployments/etl")
        .retry_after(RETRY_AFTER);
        for number in 0..100 {
            let subject = format!("{number}");
            problem = problem
                .with_precondition("ARTIFACT_MISSING", &subject, "is gone")
                .with_field(&subject, &"x".repeat(50));
        }
        let status = Status::from(problem);
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        let bytes = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum::<usize>();
        assert!(bytes < 8 * 1024, "{bytes}");
        let details = status.get_error_details();
        assert!(details.precondition_failure().unwrap().violations.len() > 10);
        assert!(details.bad_request().unwrap().field_violations.len() > 10);
        assert!(status.message().ends_with('…'));
    }
    let short = Problem::new(Code::NotFound, ErrorReason::ResourceNotFound, "é is gone");
    assert_eq!(Status::from(short).message(), "é is gone");
}

#[test]
fn every_status_has_a_reason_of_the_catalogue() {
    let status = Status::from(Problem::not_found(
        "Deployment",
        &"workspaces/w/deployments/d",
    ));
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(reason_of(&status), Some(ErrorReason::ResourceNotFound));
    let info = status.get_details_error_info().unwrap();
    assert_eq!(
        (info.domain.as_str(), info.reason.as_str()),
        ("reprise.dev", "RESOURCE_NOT_FOUND")
    );
    let resource = status.get_details_resource_info().unwrap();
    assert_eq!(resource.resource_name, "workspaces/w/deployments/d");
}

#[test]
fn a_missing_permission_is_named_with_its_resource_and_its_principal() {
    let missing = [
        model::Permission::DeploymentImagesPush,
        model::Permission::DeploymentDagsPush,
    ];
    let problem = Problem::permission_missing(&alice(), missing.into_iter().collect(), &"system");
    let metadata = Status::from(problem)
        .get_details_error_info()
        .unwrap()
        .metadata;
    assert_eq!(
        metadata.get("permissions").map(String::as_str),
        Some("deployment.images.push,deployment.dags.push")
    );
    assert_eq!(metadata.get("resource").map(String::as_str), Some("system"));
    assert_eq!(
        metadata.get("principal").map(String::as_str),
        Some("user:alice")
    );
}

#[test]
fn what_a_dependency_says_of_itself_does_not_reach_the_caller() {
    let secret = "password=hunter2";
    for problem in [
        Problem::internal(secret),
        Problem::unavailable("the database", secret),
        Problem::from_dependency("deploy-registry", Status::internal(secret)),
        Problem::from_dependency("deploy-registry", Status::unavailable(secret)),
    ] {
        assert!(chain(&problem).contains(secret), "the log has it");
        let status = Status::from(problem);
        assert!(!format!("{status:?}").contains(secret), "{status:?}");
    }
}

#[test]
fn an_outage_says_when_to_try_again() {
    let status = Status::from(Problem::unavailable("the database", "down"));
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status
            .get_details_retry_info()
            .unwrap()
            .retry_delay
            .is_some()
    );
}

#[test]
fn a_relayed_status_arrives_as_it_was() {
    let original = Status::from(Problem::already_exists("Deployment", &"a"));
    let relayed = Status::from(Problem::relay(original.clone()));
    assert_eq!(relayed.code(), original.code());
    assert_eq!(relayed.details(), original.details());
    assert_eq!(
        reason_of(&relayed),
        Some(ErrorReason::ResourceAlreadyExists)
    );
}

#[test]
fn a_reason_of_somebody_elses_domain_is_not_ours() {
    let details = ErrorDetails::with_error_info(
        "RESOURCE_NOT_FOUND",
        "example.com",
        std::collections::HashMap::new(),
    );
    let status = Status::with_error_details(Code::NotFound, "", details);
    assert_eq!(reason_of(&status), None);
    assert_eq!(reason_of(&Status::not_found("")), None);
}
