//! Who may roll back what, and see what.

use std::collections::BTreeMap;

use proto::authorization::v1::DeleteRoleBindingRequest;
use proto::common::v1::RollbackScope;
use proto::registry::v1::{
    CreateDeployRequest, CreateDeploymentRequest, DagDeployMode, Deploy, Deployment,
    GetDagBundleRequest, GetDeployRequest, GetDeploymentRequest, ListDeploymentsRequest,
    ListDeploysRequest,
};
use proto::rollback::v1::{
    GetRollbackRequest, ListAuditEventsRequest, ListRollbacksRequest, WatchRollbackRequest,
};

use crate::harness::orders::{V3, WORKSPACE, rollback_to};
use crate::harness::refusal::done;
use crate::harness::requests::{self, deploy, image, sha256};
use crate::harness::{DEPLOYMENT, Orders, Person, Refusal, Setup, refused};

const MISSING: &str = "workspaces/acme/deployments/missing";

on_both_databases!(
    who_may_push_dags_rolls_back_dags_and_nothing_else,
    who_may_see_nothing_is_told_the_same_of_what_is_there_and_what_is_not,
    a_binding_that_was_revoked_counts_no_more,
    a_group_counts_as_long_as_the_token_names_it,
    settings_are_shown_only_to_who_may_see_variables,
);

async fn who_may_push_dags_rolls_back_dags_and_nothing_else(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let sam = &orders.sam;
    let before = orders.history().await;
    for scope in [RollbackScope::All, RollbackScope::Image] {
        let refusal = refused(
            sam.orchestrator()
                .create_rollback(rollback_to(3, scope))
                .await,
        );
        let refusal = refusal.lacks("deployment.images.push");
        assert_eq!(refusal.about("open_scopes"), "DAGS");
        // To look at the plan is allowed, and says what is missing.
        let plan = sam.plan(DEPLOYMENT, 3, scope).await;
        let permissions = plan.permissions.unwrap();
        assert_eq!(permissions.missing, ["deployment.images.push"]);
        assert_eq!(
            permissions.open_scopes().collect::<Vec<_>>(),
            [RollbackScope::Dags]
        );
    }
    assert_eq!(orders.history().await, before);

    let rollback = sam.roll_back(rollback_to(3, RollbackScope::Dags)).await;
    let history = orders.history().await;
    assert_eq!(history[0].name, rollback.deploy);
    assert_eq!(history[0].created_by, "user:sam");
    let (now, broken, good) = (&history[0], &history[1], &history[3]);
    let revision = |deploy: &Deploy| deploy.revision.clone().unwrap();
    assert_eq!(
        revision(now).image,
        revision(broken).image,
        "the image stays"
    );
    assert_eq!(revision(now).runtime_version, "3.1-17");
    assert_eq!(revision(now).dag_bundle, revision(good).dag_bundle);
}

async fn who_may_see_nothing_is_told_the_same_of_what_is_there_and_what_is_not(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let rollback = orders
        .dana
        .roll_back(rollback_to(3, RollbackScope::Dags))
        .await;
    let uuid = requests::last(&rollback.name);
    let of_what_is_there = look_at(&orders.stranger, DEPLOYMENT, uuid).await;
    let of_what_is_not = look_at(&orders.stranger, MISSING, uuid).await;
    for (there, not) in of_what_is_there.into_iter().zip(of_what_is_not) {
        let (there, not) = (there.not_found(), not.not_found());
        assert_eq!(there.message.replace(DEPLOYMENT, MISSING), not.message);
        assert_eq!(there.metadata, not.metadata);
    }
    let list = ListDeploymentsRequest {
        parent: WORKSPACE.to_owned(),
        ..ListDeploymentsRequest::default()
    };
    let listed = done(orders.stranger.registry().list_deployments(list).await);
    assert_eq!(listed.deployments, []);
    assert_eq!(listed.next_page_token, "");
}

/// Every call that is about one Deployment.
async fn look_at(stranger: &Person, deployment: &str, rollback: &str) -> Vec<Refusal> {
    let name = || deployment.to_owned();
    let get = GetDeploymentRequest { name: name() };
    let create = CreateDeployRequest {
        parent: name(),
        deploy: Some(Deploy {
            revision: Some(image('c', "3.1-17")),
            ..Deploy::default()
        }),
        ..CreateDeployRequest::default()
    };
    let get_deploy = GetDeployRequest {
        name: deploy(deployment, 3),
    };
    let list = ListDeploysRequest {
        parent: name(),
        ..ListDeploysRequest::default()
    };
    let bundle = GetDagBundleRequest {
        name: format!("{deployment}/dagBundles/{}", sha256(V3)),
    };
    let upload = tokio_stream::iter(requests::upload(deployment, V3));
    let plan = requests::plan(deployment, 3, RollbackScope::All);
    let roll_back = requests::rollback(deployment, 3, RollbackScope::All);
    let get_rollback = GetRollbackRequest {
        name: format!("{deployment}/rollbacks/{rollback}"),
    };
    let watch = WatchRollbackRequest {
        name: format!("{deployment}/rollbacks/{rollback}"),
        after_event: 0,
    };
    let list_rollbacks = ListRollbacksRequest {
        parent: name(),
        ..ListRollbacksRequest::default()
    };
    let list_events = ListAuditEventsRequest {
        parent: name(),
        ..ListAuditEventsRequest::default()
    };
    let (mut registry, mut orchestrator) = (stranger.registry(), stranger.orchestrator());
    vec![
        refused(registry.get_deployment(get).await),
        refused(registry.create_deploy(create).await),
        refused(registry.get_deploy(get_deploy).await),
        refused(registry.list_deploys(list).await),
        refused(registry.get_dag_bundle(bundle).await),
        refused(registry.upload_dag_bundle(upload).await),
        refused(orchestrator.plan_rollback(plan).await),
        refused(orchestrator.create_rollback(roll_back).await),
        refused(orchestrator.get_rollback(get_rollback.clone()).await),
        refused(stranger.cancel(&get_rollback.name).await),
        refused(orchestrator.watch_rollback(watch).await),
        refused(orchestrator.list_rollbacks(list_rollbacks).await),
        refused(orchestrator.list_audit_events(list_events).await),
    ]
}

async fn a_binding_that_was_revoked_counts_no_more(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let eve = orders.stack.person("eve");
    let binding = orders
        .admin
        .bind(DEPLOYMENT, &eve.principal, "roles/DEPLOYMENT_EDITOR")
        .await;
    eve.roll_back(rollback_to(3, RollbackScope::Dags)).await;
    let delete = DeleteRoleBindingRequest {
        name: binding,
        ..DeleteRoleBindingRequest::default()
    };
    done(
        orders
            .admin
            .authorization()
            .delete_role_binding(delete)
            .await,
    );

    let request = rollback_to(2, RollbackScope::Dags);
    refused(eve.orchestrator().create_rollback(request).await).not_found();
    let create = CreateDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        deploy: Some(Deploy {
            revision: Some(image('c', "3.1-17")),
            ..Deploy::default()
        }),
        ..CreateDeployRequest::default()
    };
    refused(eve.registry().create_deploy(create).await).not_found();
    assert_eq!(orders.latest().await, 6);
}

async fn a_group_counts_as_long_as_the_token_names_it(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    orders
        .admin
        .bind(DEPLOYMENT, "group:on-call", "roles/DEPLOYMENT_EDITOR")
        .await;
    let with_group = |groups: &[&str]| {
        let token = orders.stack.token_of("kim", groups);
        orders.stack.somebody(&token)
    };
    let request = || rollback_to(3, RollbackScope::All);
    let outside = with_group(&["data-eng"]);
    refused(outside.orchestrator().create_rollback(request()).await).not_found();
    let on_call = with_group(&["data-eng", "on-call"]);
    assert_eq!(on_call.roll_back(request()).await.created_by, "user:kim");
}

async fn settings_are_shown_only_to_who_may_see_variables(setup: Setup) {
    let orders = Orders::new(setup).await;
    let Orders { admin, dana, .. } = &orders;
    let settings = [("executor".to_owned(), "celery".to_owned())].into();
    let create = CreateDeploymentRequest {
        parent: WORKSPACE.to_owned(),
        deployment_id: "configured".to_owned(),
        deployment: Some(Deployment {
            dag_deploy_mode: DagDeployMode::Image.into(),
            settings,
            ..Deployment::default()
        }),
        ..CreateDeploymentRequest::default()
    };
    let created = done(admin.registry().create_deployment(create).await);
    let created = created.deployment.unwrap();
    let name = created.name.as_str();
    admin
        .bind(name, &dana.principal, "roles/DEPLOYMENT_EDITOR")
        .await;
    dana.ship(name, image('a', "3.1-9")).await;
    let blind = ["deployment.config.get", "deployment.deployRevisions.get"];
    let blind = admin.create_role(name, "blind", &blind).await;
    let bob = orders.stack.person("bob");
    admin.bind(name, &bob.principal, &blind).await;

    for (person, sees) in [(dana, true), (&bob, false)] {
        let expected = match sees {
            true => created.settings.clone(),
            false => BTreeMap::new(),
        };
        assert_eq!(person.deployment(name).await.settings, expected);
        assert_eq!(person.history(name).await[0].settings, expected);
    }
}
