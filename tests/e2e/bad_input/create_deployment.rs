use proto::registry::v1::{
    CreateDeploymentRequest, DagDeployMode, Deployment, ListDeploymentsRequest,
};
use tonic::Code;

use super::{Wrong, each_is_told, huge};
use crate::harness::orders::WORKSPACE;
use crate::harness::refusal::done;
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(create_deployment_tells_all_that_is_wrong);

async fn create_deployment_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::new(setup).await;
    let good = CreateDeploymentRequest {
        parent: WORKSPACE.to_owned(),
        deployment_id: "fresh".to_owned(),
        deployment: Some(Deployment {
            dag_deploy_mode: DagDeployMode::Image.into(),
            ..Deployment::default()
        }),
        ..CreateDeploymentRequest::default()
    };
    fn of(request: &mut CreateDeploymentRequest) -> &mut Deployment {
        request.deployment.as_mut().unwrap()
    }
    let wrongs: &[Wrong<CreateDeploymentRequest>] = &[
        ("no id", |r| r.deployment_id.clear(), &["deployment_id"]),
        (
            "an id in capitals",
            |r| r.deployment_id = "Fresh".into(),
            &["deployment_id"],
        ),
        (
            "an id with a slash",
            |r| r.deployment_id = "a/b".into(),
            &["deployment_id"],
        ),
        (
            "an id with NUL",
            |r| r.deployment_id = "a\0b".into(),
            &["deployment_id"],
        ),
        (
            "an id of 64",
            |r| r.deployment_id = "x".repeat(64),
            &["deployment_id"],
        ),
        (
            "a huge id",
            |r| r.deployment_id = huge(),
            &["deployment_id"],
        ),
        ("no Deployment", |r| r.deployment = None, &["deployment"]),
        (
            "no mode",
            |r| of(r).dag_deploy_mode = 0,
            &["deployment.dag_deploy_mode"],
        ),
        (
            "an unknown mode",
            |r| of(r).dag_deploy_mode = 99,
            &["deployment.dag_deploy_mode"],
        ),
        (
            "a negative mode",
            |r| of(r).dag_deploy_mode = -1,
            &["deployment.dag_deploy_mode"],
        ),
        (
            "a long display name",
            |r| of(r).display_name = "é".repeat(101),
            &["deployment.display_name"],
        ),
        (
            "a display name with NUL",
            |r| of(r).display_name = "a\0".into(),
            &["deployment.display_name"],
        ),
        (
            "a huge description",
            |r| of(r).description = huge(),
            &["deployment.description"],
        ),
        (
            "a label in capitals",
            |r| of(r).labels = [("Team".to_owned(), String::new())].into(),
            &["deployment.labels"],
        ),
        (
            "too many labels",
            |r| of(r).labels = (0..65).map(|n| (format!("k{n}"), String::new())).collect(),
            &["deployment.labels"],
        ),
        (
            "a setting with NUL",
            |r| of(r).settings = [("k".to_owned(), "\0".to_owned())].into(),
            &["deployment.settings"],
        ),
        (
            "settings of more than 64 KiB",
            |r| {
                of(r).settings = (0..17)
                    .map(|n| (format!("k{n}"), "x".repeat(4_096)))
                    .collect()
            },
            &["deployment.settings"],
        ),
        (
            "a request_id of nobody",
            |r| r.request_id = "7".into(),
            &["request_id"],
        ),
        (
            "everything",
            |r| {
                r.deployment_id = "!".into();
                r.request_id = "!".into();
                of(r).dag_deploy_mode = 99;
                of(r).display_name = "\0".into();
                of(r).description = huge();
                of(r).labels = [(String::new(), String::new())].into();
                of(r).settings = [(String::new(), String::new())].into();
            },
            &[
                "deployment_id",
                "request_id",
                "deployment.dag_deploy_mode",
                "deployment.display_name",
                "deployment.description",
                "deployment.labels",
                "deployment.settings",
            ],
        ),
    ];
    let send = async |request| orders.admin.registry().create_deployment(request).await;
    each_is_told(good.clone(), wrongs, send).await;

    let trial = CreateDeploymentRequest {
        validate_only: true,
        ..good.clone()
    };
    done(send(trial).await);
    let list = ListDeploymentsRequest {
        parent: WORKSPACE.to_owned(),
        ..Default::default()
    };
    let listed = done(orders.admin.registry().list_deployments(list).await);
    let names = listed
        .deployments
        .iter()
        .map(|deployment| deployment.name.as_str());
    assert_eq!(
        names.collect::<Vec<_>>(),
        [DEPLOYMENT],
        "nothing else was created"
    );
    done(send(good.clone()).await);
    refused(send(good).await).is(Code::AlreadyExists, "RESOURCE_ALREADY_EXISTS");
}
