use super::*;

#[tokio::test]
async fn a_plan_tells_what_a_rollback_would_do() {
    let service = Service::start("3.1-9", "3.1-2").await;
    let plan = service.plan(plan_request()).await.unwrap();
    assert_eq!(plan.target_deploy, deploy_name(4));
    assert_eq!(
        (&plan.latest_deploy, &plan.current_deploy),
        (&deploy_name(5), &deploy_name(5))
    );
    assert_eq!(plan.revision, Some(revision(4, "3.1-2")));
    assert_eq!(
        (plan.revision_digest.as_str(), plan.rules_version.as_str()),
        ("composed", "1")
    );
    assert_eq!(plan.changes.len(), 2);
    let codes = plan.warnings.iter().map(Warning::code).collect::<Vec<_>>();
    let expected = [
        WarningCode::RuntimeDowngrade,
        WarningCode::SettingsDrift,
        WarningCode::GitNotReverted,
    ];
    assert_eq!(codes, expected);
    assert!(plan.warnings[0].must_acknowledge && !plan.warnings[1].must_acknowledge);
    let permissions = plan.permissions.unwrap();
    assert_eq!(permissions.principal, "user:alice@example.com");
    assert_eq!(
        permissions.needed,
        ["deployment.images.push", "deployment.dags.push"]
    );
    assert!(permissions.missing.is_empty());
    assert_eq!(permissions.open_scopes.len(), 3);
    // Settings are for others.
    assert!(plan.settings_drift.is_empty());
    assert_eq!(service.authorization.state().checks, 1);
    assert!(service.nothing_was_sent());

    service
        .authorization
        .state()
        .held
        .insert(Permission::DeploymentVariablesGet);
    let seen = service.plan(plan_request()).await.unwrap();
    assert_eq!(seen.settings_drift[0].then.as_deref(), Some("then 4"));
    assert_eq!(seen.settings_drift[0].now.as_deref(), Some("now"));
    assert_eq!(seen.digest, plan.digest);
    service.stop().await;
}

#[tokio::test]
async fn a_plan_is_of_one_moment() {
    let service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().stale_reads = 2;
    let plan = service.plan(plan_request()).await.unwrap();
    assert_eq!(plan.latest_deploy, deploy_name(5));
    assert_eq!(service.registry.state().previews, 3);

    // Somebody deploys faster than anybody can read.
    service.registry.state().stale_reads = u32::MAX;
    let unavailable = (Code::Unavailable, ErrorReason::DependencyUnavailable);
    assert_eq!(reason(service.plan(plan_request()).await), unavailable);
    service.stop().await;
}

#[tokio::test]
async fn what_the_registry_says_wrongly_is_not_the_callers_fault() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let internal = (Code::Internal, ErrorReason::Internal);
    service.registry.state().deployment.as_mut().unwrap().uid = "?".to_owned();
    assert_eq!(reason(service.plan(plan_request()).await), internal);
    service.registry.state().deployment = None;
    let not_found = (Code::NotFound, ErrorReason::ResourceNotFound);
    assert_eq!(reason(service.plan(plan_request()).await), not_found);
    service.stop().await;
}

#[tokio::test]
async fn a_plan_is_for_what_was_asked_for() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let mut digests = Vec::new();
    for (hold, allow_marked_bad) in [(false, false), (false, true), (true, false), (true, true)] {
        let request = PlanRollbackRequest {
            hold,
            allow_marked_bad,
            ..plan_request()
        };
        let plan = service.plan(request).await.unwrap();
        assert_eq!((plan.hold, plan.allow_marked_bad), (hold, allow_marked_bad));
        let asked = service.registry.state().previewed.clone().unwrap();
        assert_eq!(
            (asked.hold, asked.allow_marked_bad),
            (hold, allow_marked_bad)
        );
        digests.push(plan.digest);
    }
    // That a mark may be there counts only where it is.
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[2], digests[3]);
    assert_ne!(digests[0], digests[2]);

    // Whoever agreed to a rollback without a hold gets none with one.
    let agreed = CreateRollbackRequest {
        plan_digest: digests[0].clone(),
        hold: true,
        ..create_request()
    };
    let changed = (Code::Aborted, ErrorReason::PlanChanged);
    assert_eq!(reason(service.create(agreed).await), changed);
    assert!(service.nothing_was_sent());
    service.stop().await;
}
