//! Deployments whose DAGs come in the image, from git, or from a volume.

use proto::common::v1::{BlockerCode, RollbackScope};
use proto::registry::v1::{
    CreateDeployRequest, DagDeployMode, Deploy, DeployTrigger, DeployType, GitSource, Revision,
};
use proto::rollback::v1::{Plan, WarningCode};
use tonic::Code;

use crate::harness::orders::V1;
use crate::harness::refusal::done;
use crate::harness::requests::{self, dbt, deploy, image, rollback, sha256};
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

const OTHER: &str = "workspaces/acme/deployments/other";
const DBT: &str = "/usr/local/airflow/dbt/sales";

on_both_databases!(
    dags_inside_the_image_come_back_with_it_and_never_alone,
    dags_from_git_stay_as_they_are_there,
    dbt_projects_come_back_as_dags_do,
    a_deployment_that_reads_a_volume_is_never_rolled_back,
    a_rollback_that_would_change_nothing_is_refused,
);

async fn dags_inside_the_image_come_back_with_it_and_never_alone(setup: Setup) {
    let orders = start(setup, DagDeployMode::Image).await;
    let dana = &orders.dana;
    for digit in ['a', 'b'] {
        dana.ship(OTHER, image(digit, "3.1-9")).await;
    }

    let plan = dana.plan(OTHER, 1, RollbackScope::Dags).await;
    assert_eq!(blockers(&plan), [BlockerCode::DagsNotSeparate]);
    let request = rollback(OTHER, 1, RollbackScope::Dags);
    refused(dana.orchestrator().create_rollback(request).await).blocked_by(&["DAGS_NOT_SEPARATE"]);

    // Somebody who may push images needs nothing else.
    let images = ["deployment.deployRevisions.get", "deployment.images.push"];
    let images = orders
        .admin
        .create_role(OTHER, "image-pusher", &images)
        .await;
    let ivy = orders.stack.person("ivy");
    orders.admin.bind(OTHER, &ivy.principal, &images).await;
    for (scope, target, written) in [(RollbackScope::All, 1, 3), (RollbackScope::Image, 2, 4)] {
        let plan = ivy.plan(OTHER, target, scope).await;
        assert_eq!(blockers(&plan), []);
        let needed = plan.permissions.unwrap().needed;
        assert_eq!(needed, ["deployment.images.push"]);
        let rolled_back = ivy.roll_back(rollback(OTHER, target, scope)).await;
        assert_eq!(rolled_back.deploy, deploy(OTHER, written));
    }
    let history = dana.history(OTHER).await;
    assert_eq!(history[0].revision, history[2].revision);
    assert_eq!(history[1].revision, history[3].revision);

    let with_dags = CreateDeployRequest {
        parent: OTHER.to_owned(),
        deploy: Some(Deploy {
            revision: Some(Revision {
                dag_bundle: Some(requests::bundle(&sha256(V1))),
                ..Revision::default()
            }),
            ..Deploy::default()
        }),
        ..CreateDeployRequest::default()
    };
    refused(dana.registry().create_deploy(with_dags).await)
        .is(Code::FailedPrecondition, "DEPLOY_NOT_ALLOWED");
}

async fn dags_from_git_stay_as_they_are_there(setup: Setup) {
    let orders = start(setup, DagDeployMode::GitSync).await;
    let dana = &orders.dana;
    dana.ship(OTHER, image('a', "3.1-9")).await;
    let bad_commit = Deploy {
        revision: Some(image('b', "3.1-9")),
        git: Some(GitSource {
            repository: "acme/orders".to_owned(),
            commit_sha: "c".repeat(40),
            ..GitSource::default()
        }),
        ..Deploy::default()
    };
    let create = CreateDeployRequest {
        parent: OTHER.to_owned(),
        deploy: Some(bad_commit),
        ..CreateDeployRequest::default()
    };
    done(dana.registry().create_deploy(create).await);
    let pulled = |deployment: &str| CreateDeployRequest {
        parent: deployment.to_owned(),
        deploy: Some(Deploy {
            trigger: DeployTrigger::GitSync.into(),
            git: Some(GitSource {
                repository: "acme/orders".to_owned(),
                commit_sha: "d".repeat(40),
                ..GitSource::default()
            }),
            ..Deploy::default()
        }),
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..CreateDeployRequest::default()
    };
    let synced = pulled(OTHER);
    let recorded = done(dana.registry().create_deploy(synced.clone()).await);
    let recorded = recorded.deploy.unwrap();
    assert_eq!(recorded.r#type(), DeployType::DagsOnly);
    assert_eq!(recorded.revision, dana.history(OTHER).await[1].revision);
    let again = done(dana.registry().create_deploy(synced).await);
    assert_eq!(again.deploy.unwrap(), recorded);
    refused(dana.registry().create_deploy(pulled(DEPLOYMENT)).await)
        .is(Code::FailedPrecondition, "DEPLOY_NOT_ALLOWED");
    // Nothing of what was pulled can be brought back, and a rollback over it says so.
    let plan = dana.plan(OTHER, 2, RollbackScope::All).await;
    assert_eq!(blockers(&plan), [BlockerCode::NoChange]);
    let warned = warnings(&plan);
    assert!(warned.contains(&WarningCode::GitNotReverted), "{warned:?}");

    let plan = dana.plan(OTHER, 1, RollbackScope::All).await;
    assert_eq!(blockers(&plan), []);
    let warned = warnings(&plan);
    assert!(warned.contains(&WarningCode::DagsStayInGit), "{warned:?}");
    assert!(warned.contains(&WarningCode::GitNotReverted), "{warned:?}");
    assert!(
        plan.warnings
            .iter()
            .all(|warning| !warning.must_acknowledge)
    );
    let plan = dana.plan(OTHER, 1, RollbackScope::Dags).await;
    assert_eq!(blockers(&plan), [BlockerCode::DagsNotSeparate]);

    let rolled_back = dana.roll_back(rollback(OTHER, 1, RollbackScope::All)).await;
    assert_eq!(rolled_back.deploy, deploy(OTHER, 4));
    let history = dana.history(OTHER).await;
    assert_eq!(history[0].revision, history[3].revision);
}

async fn dbt_projects_come_back_as_dags_do(setup: Setup) {
    let orders = start(setup, DagDeployMode::Image).await;
    let dana = &orders.dana;
    let (old, new) = (b"old project".as_slice(), b"new project".as_slice());
    for bytes in [old, new] {
        dana.upload(OTHER, bytes).await;
    }
    dana.ship(OTHER, image('a', "3.1-9")).await;
    dana.ship(OTHER, dbt(DBT, &sha256(old))).await;
    dana.ship(OTHER, dbt(DBT, &sha256(new))).await;

    let rolled_back = dana
        .roll_back(rollback(OTHER, 2, RollbackScope::Dags))
        .await;
    assert_eq!(rolled_back.deploy, deploy(OTHER, 4));
    let history = dana.history(OTHER).await;
    let dbt_of = |deploy: &Deploy| deploy.revision.clone().unwrap().dbt_bundles;
    assert_eq!(dbt_of(&history[0]), dbt_of(&history[2]));
    // To a deploy without dbt, a rollback takes it away.
    dana.roll_back(rollback(OTHER, 1, RollbackScope::Dags))
        .await;
    assert_eq!(dbt_of(&dana.history(OTHER).await[0]), []);
}

async fn a_deployment_that_reads_a_volume_is_never_rolled_back(setup: Setup) {
    let orders = start(setup, DagDeployMode::Nfs).await;
    for digit in ['a', 'b'] {
        orders.dana.ship(OTHER, image(digit, "3.1-9")).await;
    }
    for scope in [
        RollbackScope::All,
        RollbackScope::Image,
        RollbackScope::Dags,
    ] {
        let plan = orders.dana.plan(OTHER, 1, scope).await;
        assert_eq!(blockers(&plan), [BlockerCode::DagDeployModeUnsupported]);
    }
}

async fn a_rollback_that_would_change_nothing_is_refused(setup: Setup) {
    let orders = start(setup, DagDeployMode::Image).await;
    let dana = &orders.dana;
    for digit in ['a', 'b', 'a'] {
        dana.ship(OTHER, image(digit, "3.1-9")).await;
    }
    let plan = dana.plan(OTHER, 3, RollbackScope::All).await;
    let blocked = blockers(&plan);
    assert!(
        blocked.contains(&BlockerCode::TargetIsCurrent),
        "{blocked:?}"
    );
    let plan = dana.plan(OTHER, 1, RollbackScope::All).await;
    assert_eq!(blockers(&plan), [BlockerCode::NoChange]);
    let request = rollback(OTHER, 1, RollbackScope::All);
    refused(dana.orchestrator().create_rollback(request).await).blocked_by(&["NO_CHANGE"]);
    assert_eq!(dana.latest(OTHER).await, 3);
}

/// Another Deployment of this mode, that Dana may roll back, too.
async fn start(setup: Setup, mode: DagDeployMode) -> Orders {
    let orders = Orders::new(setup).await;
    let Orders { admin, dana, .. } = &orders;
    admin.create_deployment(OTHER, mode).await;
    admin
        .bind(OTHER, &dana.principal, "roles/DEPLOYMENT_EDITOR")
        .await;
    orders
}

fn blockers(plan: &Plan) -> Vec<BlockerCode> {
    plan.blockers.iter().map(|blocker| blocker.code()).collect()
}

fn warnings(plan: &Plan) -> Vec<WarningCode> {
    plan.warnings.iter().map(|warning| warning.code()).collect()
}
