//! Targets that are not named, and the list of all that there are.

use proto::registry::v1::find_deploy_request::By;

use super::*;

const SCOPES: [RollbackScope; 3] = [
    RollbackScope::All,
    RollbackScope::Image,
    RollbackScope::Dags,
];

fn plan_to(target: plan_rollback_request::Target) -> PlanRollbackRequest {
    PlanRollbackRequest {
        target: Some(target),
        ..plan_request()
    }
}

fn create_to(target: create_rollback_request::Target) -> CreateRollbackRequest {
    CreateRollbackRequest {
        target: Some(target),
        ..create_request()
    }
}

fn list(page_token: &str) -> ListRollbackTargetsRequest {
    ListRollbackTargetsRequest {
        parent: DEPLOYMENT.to_owned(),
        page_token: page_token.to_owned(),
        ..Default::default()
    }
}

impl Service {
    async fn list_targets(
        &self,
        request: ListRollbackTargetsRequest,
    ) -> Result<ListRollbackTargetsResponse, Status> {
        let request = self.call(request);
        let response = self.client.clone().list_rollback_targets(request).await?;
        Ok(response.into_inner())
    }

    /// The registry lists deploys 5 and 4, of which 4 may be rolled back to.
    fn list_history(&self) {
        let mut state = self.registry.state();
        let history = state.history.clone();
        let listed = [5, 4].map(|number| {
            let deploy = history[&deploy_name(number)].clone();
            let scope = |scope: RollbackScope| registry::ScopePreview {
                scope: scope.into(),
                revision: deploy.revision.clone(),
                blockers: match number {
                    5 => vec![blocker(BlockerCode::TargetIsCurrent)],
                    _ => Vec::new(),
                },
                revision_digest: "composed".to_owned(),
            };
            registry::RollbackDeployPreview {
                scopes: SCOPES.map(scope).to_vec(),
                deploy: Some(registry::Deploy {
                    r#type: registry::DeployType::ImageOnly.into(),
                    trigger: registry::DeployTrigger::Github.into(),
                    deploy_time: Some(at(number)),
                    settings: BTreeMap::new(),
                    mark: (number == 4).then(|| registry::Mark {
                        verdict: registry::Verdict::Good.into(),
                        ..Default::default()
                    }),
                    ..deploy
                }),
            }
        });
        state.listed = listed.to_vec();
    }
}

#[tokio::test]
async fn what_somebody_means_is_resolved_when_it_is_planned() {
    use plan_rollback_request::Target;

    let service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().meant = Some(4);
    let named = service.plan(plan_request()).await.unwrap();
    for (target, by) in [
        (
            Target::Previous(true),
            By::PreviousIn(RollbackScope::All.into()),
        ),
        (Target::AsOf(at(7)), By::AsOf(at(7))),
    ] {
        let plan = service.plan(plan_to(target)).await.unwrap();
        assert_eq!(plan, named, "the same plan, its digest included");
        assert_eq!(service.registry.state().finds.pop(), Some(by));
    }

    service.registry.state().meant = None;
    let outcome = service.plan(plan_to(Target::Previous(true))).await;
    let not_found = (Code::FailedPrecondition, ErrorReason::TargetNotFound);
    assert_eq!(reason(outcome), not_found);
    let create = create_to(create_rollback_request::Target::AsOf(at(1)));
    assert_eq!(reason(service.create(create).await), not_found);
    assert!(service.nothing_was_sent());
    service.stop().await;
}

#[tokio::test]
async fn a_plan_is_of_one_moment_however_its_target_was_said() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let previous = || plan_to(plan_rollback_request::Target::Previous(true));
    {
        let mut state = service.registry.state();
        (state.meant, state.stale_finds, state.stale_reads) = (Some(4), 2, 3);
    }
    let plan = service.plan(previous()).await.unwrap();
    assert_eq!(plan.latest_deploy, deploy_name(5));
    // The first two times target and Deployment were of an older history than what was composed.
    assert_eq!(service.registry.state().finds.len(), 4);

    service.registry.state().stale_finds = u32::MAX;
    let outcome = service.plan(previous()).await;
    let unavailable = (Code::Unavailable, ErrorReason::DependencyUnavailable);
    assert_eq!(reason(outcome), unavailable);

    // Something else had come to run when the revision was composed.
    service.registry.state().preview.deploy = Some(composed(6, 4, revision(4, "3.1-9")));
    assert_eq!(reason(service.plan(plan_request()).await), unavailable);
    service.stop().await;
}

#[tokio::test]
async fn a_retry_returns_the_rollback_whatever_is_meant_by_then() {
    use create_rollback_request::Target;

    let service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().meant = Some(4);
    let request = |target| CreateRollbackRequest {
        request_id: uuid::Uuid::from_u128(1).to_string(),
        ..create_to(target)
    };
    let previous = || request(Target::Previous(true));
    let first = service.create(previous()).await.unwrap();
    assert_eq!(first.target_deploy, deploy_name(4));
    let bound = service.authorization.state().first.clone().unwrap();
    assert_eq!(bound.target_deploy, deploy_name(4));
    for meant in [Some(5), None] {
        service.registry.state().meant = meant;
        assert_eq!(service.create(previous()).await.unwrap(), first);
    }
    assert_eq!(service.registry.state().finds.len(), 1);
    let other = service.create(request(Target::AsOf(at(7)))).await;
    let reused = (Code::InvalidArgument, ErrorReason::RequestIdReused);
    assert_eq!(reason(other), reused);
    service.stop().await;
}

#[tokio::test]
async fn a_plan_that_meant_another_deploy_is_not_carried_out() {
    let service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().meant = Some(4);
    let previous = plan_to(plan_rollback_request::Target::Previous(true));
    let plan = service.plan(previous).await.unwrap();
    let create = CreateRollbackRequest {
        plan_digest: plan.digest,
        ..create_to(create_rollback_request::Target::Previous(true))
    };
    service.registry.state().meant = Some(5);
    let changed = (Code::Aborted, ErrorReason::PlanChanged);
    assert_eq!(reason(service.create(create.clone()).await), changed);
    service.registry.state().meant = Some(4);
    let rollback = service.create(create).await.unwrap();
    assert_eq!(rollback.target_deploy, deploy_name(4));
    service.stop().await;
}

#[tokio::test]
async fn what_is_meant_is_said_in_a_way_that_there_is() {
    use create_rollback_request::Target;

    let service = Service::start("3.1-9", "3.1-9").await;
    let never = prost_types::Timestamp {
        seconds: i64::MIN,
        nanos: 0,
    };
    let no_time = prost_types::Timestamp {
        seconds: 0,
        nanos: 1_000_000_000,
    };
    for (target, field) in [
        (Target::Previous(false), "previous"),
        (Target::AsOf(never), "as_of"),
        (Target::AsOf(no_time), "as_of"),
    ] {
        let wrong = CreateRollbackRequest {
            scope: 0,
            ..create_to(target)
        };
        let status = service.create(wrong).await.unwrap_err();
        assert_eq!(violations(&status), [field, "scope"]);
    }
    let wrong = plan_to(plan_rollback_request::Target::Previous(false));
    assert_eq!(
        violations(&service.plan(wrong).await.unwrap_err()),
        ["previous"]
    );
    let wrong = ListRollbackTargetsRequest {
        parent: "etl".to_owned(),
        page_size: -1,
        as_of: Some(no_time),
        ..list("x")
    };
    let status = service.list_targets(wrong).await.unwrap_err();
    assert_eq!(
        violations(&status),
        ["parent", "as_of", "page_size", "page_token"]
    );
    service.stop().await;
}

#[tokio::test]
async fn a_list_judges_each_deploy_as_its_plan_does() {
    let service = Service::start("3.1-9", "3.1-2").await;
    service.list_history();
    service.registry.state().meant = Some(4);
    service.authorization.state().held =
        SEEN_BY_ALL.union(PermissionSet::of(&[Permission::DeploymentImagesPush]));
    let page = ListRollbackTargetsRequest {
        as_of: Some(at(4)),
        allow_marked_bad: true,
        page_size: 1_000,
        ..list("")
    };
    let page = service.list_targets(page).await.unwrap();
    let names = page.targets.iter().map(|target| target.deploy.as_str());
    assert_eq!(names.collect::<Vec<_>>(), [deploy_name(5), deploy_name(4)]);
    let target = &page.targets[1];
    let expected = RollbackTarget {
        deploy: deploy_name(4),
        r#type: registry::DeployType::ImageOnly.into(),
        trigger: registry::DeployTrigger::Github.into(),
        state: registry::DeployState::Deployed.into(),
        description: "change 4".to_owned(),
        created_by: "user:bob@example.com".to_owned(),
        create_time: Some(at(4)),
        deploy_time: Some(at(4)),
        expire_time: None,
        verdict: registry::Verdict::Good.into(),
        runtime_version: "3.1-2".to_owned(),
        airflow_version: "3.1.0".to_owned(),
        scopes: target.scopes.clone(),
    };
    assert_eq!(*target, expected);

    let [all, image, dags] = target.scopes.as_slice() else {
        panic!("one for each scope");
    };
    assert_eq!([all.scope(), image.scope(), dags.scope()], SCOPES);
    assert_eq!(all.missing_permissions, ["deployment.dags.push"]);
    assert_eq!(dags.missing_permissions, ["deployment.dags.push"]);
    assert!(image.allowed && !all.allowed && !dags.allowed);
    assert!(all.blockers.is_empty());
    let plan = service.plan(plan_request()).await.unwrap();
    let must = plan
        .warnings
        .iter()
        .filter(|warning| warning.must_acknowledge);
    let must = must.map(|warning| warning.code).collect::<Vec<_>>();
    assert!(!must.is_empty());
    assert_eq!(all.must_acknowledge, must);
    assert_eq!(plan.permissions.unwrap().missing, all.missing_permissions);
    for scope in &page.targets[0].scopes {
        assert_eq!(scope.blockers, [blocker(BlockerCode::TargetIsCurrent)]);
    }

    // One check; the page has its bound; what is meant is asked for on the first page only.
    let asked = service.registry.state().listed_page.clone().unwrap();
    assert_eq!((asked.page_size, asked.allow_marked_bad), (200, true));
    let previous = page
        .previous
        .iter()
        .map(|it| (it.scope(), it.deploy.clone()));
    assert_eq!(
        previous.collect::<Vec<_>>(),
        SCOPES.map(|scope| (scope, deploy_name(4)))
    );
    assert_eq!(page.as_of_deploy, deploy_name(4));
    assert_eq!(service.registry.state().finds.len(), 4);
    assert_eq!(service.authorization.state().checks, 2);
    service.stop().await;
}

#[tokio::test]
async fn a_list_goes_on_page_by_page_with_its_own_query() {
    let service = Service::start("3.1-9", "3.1-9").await;
    service.list_history();
    let first = service.list_targets(list("")).await.unwrap();
    assert_eq!((first.previous.len(), first.as_of_deploy.as_str()), (0, ""));
    let second = service
        .list_targets(list(&first.next_page_token))
        .await
        .unwrap();
    assert_eq!(
        (second.targets.len(), second.next_page_token.as_str()),
        (2, "")
    );
    assert_eq!(service.registry.state().finds.len(), 3);

    let invalid = (Code::InvalidArgument, ErrorReason::InvalidFields);
    let other = ListRollbackTargetsRequest {
        allow_marked_bad: true,
        ..list(&first.next_page_token)
    };
    assert_eq!(reason(service.list_targets(other).await), invalid);
    // A token that was tampered with, so that the registry does not know its part of it.
    let forged = format!("{}eHh4", first.next_page_token);
    assert_eq!(reason(service.list_targets(list(&forged)).await), invalid);

    // A deploy that lands between the reads of the first page.
    service.registry.state().meant = Some(4);
    service.registry.state().stale_finds = 4;
    let again = service.list_targets(list("")).await.unwrap();
    assert_eq!(again.previous.len(), 3);
    assert_eq!(service.registry.state().finds.len(), 3 + 9);
    service.stop().await;
}

#[tokio::test]
async fn who_may_not_see_a_history_sees_no_targets() {
    let service = Service::start("3.1-9", "3.1-9").await;
    service.list_history();
    let config = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    service.authorization.state().held = PermissionSet::EMPTY;
    let wrong = ListRollbackTargetsRequest {
        page_size: -1,
        ..list("")
    };
    let not_found = (Code::NotFound, ErrorReason::ResourceNotFound);
    assert_eq!(reason(service.list_targets(wrong.clone()).await), not_found);
    service.authorization.state().held = config;
    let missing = (Code::PermissionDenied, ErrorReason::PermissionMissing);
    assert_eq!(reason(service.list_targets(wrong).await), missing);
    service.stop().await;
}
