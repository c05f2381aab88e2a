//! The main job, as the demo tells it: ship, list, plan, be refused, roll back, download.

use proto::common::v1::RollbackScope;
use proto::registry::v1::{
    Component, CreateRollbackDeployRequest, Deploy, DeployState, DeployTrigger, DeployType,
};
use proto::rollback::v1::{Plan, RollOut, RollbackState, StepKind, WarningCode};
use tonic::Code;

use crate::harness::orders::{V3, WORKSPACE, rollback_to};
use crate::harness::process::reprise;
use crate::harness::requests::{deploy, sha256};
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(the_main_job_goes_from_ship_to_rollback);

async fn the_main_job_goes_from_ship_to_rollback(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let before = orders.dana.history(DEPLOYMENT).await;
    shows_what_was_shipped(&before);

    let plan = orders.dana.plan(DEPLOYMENT, 3, RollbackScope::All).await;
    shows_what_would_happen(&plan);

    refuses_everything_to_whoever_may_push_dags(&orders).await;

    let rollback = orders
        .dana
        .roll_back(proto::rollback::v1::CreateRollbackRequest {
            plan_digest: plan.digest.clone(),
            acknowledged_warnings: vec![
                WarningCode::RuntimeDowngrade.into(),
                WarningCode::MetadataLoss.into(),
            ],
            ..rollback_to(3, RollbackScope::All)
        })
        .await;
    assert_eq!(rollback.state(), RollbackState::Succeeded);
    assert_eq!(rollback.roll_out(), RollOut::Deployed);
    assert_eq!(rollback.deploy, deploy(DEPLOYMENT, 6));
    assert_eq!(rollback.replaced_deploy, deploy(DEPLOYMENT, 5));
    assert_eq!(rollback.created_by, "user:dana");
    assert_eq!(rollback.plan_digest, plan.digest);
    let steps = rollback.steps.iter().map(|step| step.kind());
    let all = [
        StepKind::Plan,
        StepKind::Authorize,
        StepKind::Write,
        StepKind::RollOut,
    ];
    assert_eq!(steps.collect::<Vec<_>>(), all);
    assert_eq!(orders.sam.rollback(&rollback.name).await, rollback);

    let after = orders.dana.history(DEPLOYMENT).await;
    let (newest, older) = after.split_first().unwrap();
    assert_eq!(older.len(), before.len());
    for (now, then) in older.iter().zip(&before) {
        // When an old deploy expires depends on what came after it; nothing else does.
        assert_eq!(unexpired(now), unexpired(then));
    }
    tells_where_it_came_from(newest, &rollback.name);
    assert_eq!(
        newest.revision, older[2].revision,
        "what runs is what deploy 3 ran"
    );

    let deployment = orders.dana.deployment(DEPLOYMENT).await;
    assert_eq!(deployment.current_deploy, deploy(DEPLOYMENT, 6));
    let current = deployment.current_revision.unwrap().dag_bundle.unwrap();
    let bytes = orders.sam.download(DEPLOYMENT, &current.sha256).await;
    assert!(bytes == V3, "not the bytes that deploy 3 shipped");

    refuses_to_write_history_behind_the_orchestrators_back(&orders).await;
    assert_eq!(orders.dana.history(DEPLOYMENT).await, after);
    assert_eq!(
        orders.dana.deployment(DEPLOYMENT).await.latest_deploy,
        deploy(DEPLOYMENT, 6)
    );
}

fn shows_what_was_shipped(history: &[Deploy]) {
    let shown = history
        .iter()
        .map(|deploy| (deploy.number, deploy.r#type()));
    let expected = [
        (5, DeployType::DagsOnly),
        (4, DeployType::ImageOnly),
        (3, DeployType::DagsOnly),
        (2, DeployType::DagsOnly),
        (1, DeployType::ImageAndDags),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    for deploy in history {
        assert_eq!(deploy.state(), DeployState::Deployed);
        assert_eq!(deploy.trigger(), DeployTrigger::Api);
        assert_eq!(deploy.created_by, "user:dana");
        assert!(deploy.name.starts_with(WORKSPACE));
    }
    let fourth = &history[1];
    assert_eq!(
        fourth.changed_components().collect::<Vec<_>>(),
        [
            Component::Image,
            Component::RuntimeVersion,
            Component::AirflowVersion
        ]
    );
    let revision = fourth.revision.as_ref().unwrap();
    assert_eq!(revision.airflow_version, "3.1.8", "from the catalog");
    let bundle = revision.dag_bundle.as_ref().unwrap();
    assert_eq!(bundle.sha256, sha256(V3), "inherited");
}

fn shows_what_would_happen(plan: &Plan) {
    assert_eq!(plan.blockers, []);
    let warned = plan.warnings.iter().map(|w| (w.code(), w.must_acknowledge));
    assert_eq!(
        warned.collect::<std::collections::BTreeMap<_, _>>(),
        [
            (WarningCode::RuntimeDowngrade, true),
            (WarningCode::MetadataLoss, true),
            (WarningCode::DeploysSkipped, false),
        ]
        .into()
    );
    let changes = plan.changes.iter().map(|change| change.component());
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [
            Component::Image,
            Component::RuntimeVersion,
            Component::AirflowVersion,
            Component::DagBundle
        ]
    );
    let permissions = plan.permissions.as_ref().unwrap();
    assert!(permissions.missing.is_empty());
    assert_eq!(plan.latest_deploy, deploy(DEPLOYMENT, 5));
}

async fn refuses_everything_to_whoever_may_push_dags(orders: &Orders) {
    let request = rollback_to(3, RollbackScope::All);
    let refusal = refused(orders.sam.orchestrator().create_rollback(request).await)
        .lacks("deployment.images.push");
    assert_eq!(refusal.about("open_scopes"), "DAGS");
    assert_eq!(refusal.about("resource"), DEPLOYMENT);
    assert_eq!(refusal.about("principal"), "user:sam");
}

fn tells_where_it_came_from(newest: &Deploy, rollback: &str) {
    assert_eq!(newest.number, 6);
    assert_eq!(newest.trigger(), DeployTrigger::Rollback);
    assert_eq!(newest.created_by, "user:dana");
    assert_eq!(newest.description, "orders cannot be imported");
    let origin = newest.rollback.as_ref().unwrap();
    assert_eq!(origin.source_deploy, deploy(DEPLOYMENT, 3));
    assert_eq!(origin.replaced_deploy, deploy(DEPLOYMENT, 5));
    assert_eq!(origin.scope(), RollbackScope::All);
    assert_eq!(origin.rollback, rollback);
    assert!(!origin.permit_id.is_empty());
}

async fn refuses_to_write_history_behind_the_orchestrators_back(orders: &Orders) {
    let write = orders.write(DEPLOYMENT, 3, RollbackScope::All).await;
    let attempt = async |person: &crate::harness::Person, write: &CreateRollbackDeployRequest| {
        refused(
            person
                .registry()
                .create_rollback_deploy(write.clone())
                .await,
        )
    };
    attempt(&orders.admin, &write)
        .await
        .lacks("system.rollbacks.write");
    attempt(&orders.stack.orchestrator_itself(), &write)
        .await
        .is(Code::PermissionDenied, "PERMIT_INVALID");
}

fn unexpired(deploy: &Deploy) -> Deploy {
    Deploy {
        artifacts_expire_time: None,
        etag: String::new(),
        ..deploy.clone()
    }
}

#[test]
fn the_demo_itself_ends_well() {
    let demo = reprise().arg("demo").output().unwrap();
    let (told, complained) = (
        String::from_utf8_lossy(&demo.stdout),
        String::from_utf8_lossy(&demo.stderr),
    );
    assert!(demo.status.success(), "{told}\n{complained}");
    assert!(
        told.contains("Done: every step went as it should."),
        "{told}"
    );
    assert_eq!(complained, "", "nothing to warn of");
}
