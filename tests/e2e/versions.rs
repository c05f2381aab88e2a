//! Which version may be rolled back to which, and what that loses.

use proto::common::v1::RollbackScope;
use proto::registry::v1::{CreateDeployRequest, DagDeployMode, Deploy, Revision};
use proto::rollback::v1::{CreateRollbackRequest, WarningCode};
use tonic::Code;

use crate::harness::requests::{image, rollback};
use crate::harness::{Orders, Setup, refused};

const WORKSPACE: &str = "workspaces/acme/deployments";

on_both_databases!(
    versions_that_cannot_be_rolled_back_say_why,
    from_airflow_3_to_2_everything_that_is_lost_must_be_acknowledged,
    a_version_that_cannot_be_read_is_refused_when_it_is_recorded,
);

async fn versions_that_cannot_be_rolled_back_say_why(setup: Setup) {
    let orders = Orders::new(setup).await;
    for (id, then, now, blockers) in [
        ("three-zero-then", "3.0-10", "3.1-9", "RUNTIME_UNSUPPORTED"),
        ("three-zero-now", "3.1-9", "3.0-10", "RUNTIME_UNSUPPORTED"),
        ("too-old", "4.2.0", "13.0.0", "RUNTIME_UNSUPPORTED"),
        (
            "two-to-three",
            "3.1-9",
            "13.0.0",
            "RUNTIME_PATH_UNSUPPORTED",
        ),
        (
            "three-to-eleven",
            "11.3.0",
            "3.1-9",
            "RUNTIME_PATH_UNSUPPORTED",
        ),
        ("unheard-of", "3.1-9", "9.9-1", "RUNTIME_UNKNOWN_VERSION"),
    ] {
        let deployment = upgraded(&orders, id, then, now).await;
        let request = rollback(&deployment, 1, RollbackScope::All);
        let refusal = refused(orders.admin.orchestrator().create_rollback(request).await);
        let refusal = refusal.is(Code::FailedPrecondition, "ROLLBACK_BLOCKED");
        assert_eq!(refusal.about("blockers"), blockers, "{id}: {refusal}");
        assert_eq!(orders.admin.latest(&deployment).await, 2);
    }
    for (id, then, now) in [
        ("within-three", "3.1-2", "3.2-10"),
        ("within-two", "5.0.0", "13.9.0"),
    ] {
        let deployment = upgraded(&orders, id, then, now).await;
        let request = rollback(&deployment, 1, RollbackScope::All);
        orders.admin.roll_back(request).await;
    }
}

async fn from_airflow_3_to_2_everything_that_is_lost_must_be_acknowledged(setup: Setup) {
    let orders = Orders::new(setup).await;
    let deployment = upgraded(&orders, "downgraded", "12.0.0", "3.1-9").await;
    let plan = orders.admin.plan(&deployment, 1, RollbackScope::All).await;
    assert_eq!(plan.blockers, []);
    let lost = plan.warnings.iter();
    let lost = lost
        .filter(|warning| warning.must_acknowledge)
        .collect::<Vec<_>>();
    let codes = lost
        .iter()
        .map(|warning| warning.code())
        .collect::<Vec<_>>();
    let all = [
        WarningCode::RuntimeDowngrade,
        WarningCode::MetadataLoss,
        WarningCode::MajorVersionChange,
    ];
    assert_eq!(codes, all);
    let reverted = lost[1].migrations.iter().map(|head| head.revision.as_str());
    // From 3.1.5 down to 2.10.0: the heads of 3.1.0, 3.0.3, 3.0.0 and 2.10.3.
    let heads = [
        "cc92b33c6709",
        "fe199e1abd77",
        "29ce7909c52b",
        "5f2621c13b39",
    ];
    assert_eq!(reverted.collect::<Vec<_>>(), heads);

    for left_out in all {
        let known = all.into_iter().filter(|code| *code != left_out);
        let request = CreateRollbackRequest {
            acknowledged_warnings: known.map(Into::into).collect(),
            plan_digest: plan.digest.clone(),
            ..rollback(&deployment, 1, RollbackScope::All)
        };
        let refusal = refused(orders.admin.orchestrator().create_rollback(request).await);
        let refusal = refusal.is(Code::FailedPrecondition, "WARNINGS_NOT_ACKNOWLEDGED");
        let code = left_out.as_str_name().trim_start_matches("WARNING_CODE_");
        assert_eq!(refusal.about("warnings"), code);
    }
    assert_eq!(orders.admin.latest(&deployment).await, 2);

    let request = CreateRollbackRequest {
        acknowledged_warnings: all.map(Into::into).to_vec(),
        plan_digest: plan.digest,
        ..rollback(&deployment, 1, RollbackScope::All)
    };
    let rolled_back = orders.admin.roll_back(request).await;
    let mut acknowledged = rolled_back.acknowledged_warnings().collect::<Vec<_>>();
    acknowledged.sort();
    assert_eq!(acknowledged, all);
}

async fn a_version_that_cannot_be_read_is_refused_when_it_is_recorded(setup: Setup) {
    let orders = Orders::new(setup).await;
    let deployment = format!("{WORKSPACE}/strict");
    orders
        .admin
        .create_deployment(&deployment, DagDeployMode::Image)
        .await;
    let with = |runtime: &str, airflow: &str| {
        let revision = Revision {
            airflow_version: airflow.to_owned(),
            ..image('a', runtime)
        };
        CreateDeployRequest {
            parent: deployment.clone(),
            deploy: Some(Deploy {
                revision: Some(revision),
                ..Deploy::default()
            }),
            ..CreateDeployRequest::default()
        }
    };
    let runtime = "deploy.revision.runtime_version";
    let airflow = "deploy.revision.airflow_version";
    for (given_runtime, given_airflow, fields) in [
        ("latest", "", [runtime].as_slice()),
        ("3.1", "", &[runtime]),
        ("3..1-9", "", &[runtime]),
        ("99999999999999999999.1-9", "", &[runtime]),
        ("", "three", &[airflow]),
        ("x", "y", &[runtime, airflow]),
        // By the catalog 3.1-9 has Airflow 3.1.5.
        ("3.1-9", "3.1.4", &[airflow]),
        ("12.5.0", "2.9.0", &[airflow]),
    ] {
        let request = with(given_runtime, given_airflow);
        let refusal = refused(orders.admin.registry().create_deploy(request).await);
        let case = format!("{given_runtime} with {given_airflow}");
        refusal.when(&case).names_fields(fields);
    }
    assert_eq!(orders.admin.history(&deployment).await, []);
}

/// A Deployment that went from one runtime to another.
async fn upgraded(orders: &Orders, id: &str, then: &str, now: &str) -> String {
    let name = format!("{WORKSPACE}/{id}");
    orders
        .admin
        .create_deployment(&name, DagDeployMode::Image)
        .await;
    orders.admin.ship(&name, image('a', then)).await;
    orders.admin.ship(&name, image('b', now)).await;
    name
}
