use proto::common::v1::RollbackScope;
use proto::registry::v1::upload_dag_bundle_request::Part;
use proto::registry::v1::{
    Bundle, CloseRollbackRequest, CreateDeployRequest, CreateDeploymentRequest,
    CreateRollbackDeployRequest, DagDeployMode, Deploy, Deployment, DownloadDagBundleRequest,
    GetDagBundleRequest, GetDeployRequest, GetDeploymentRequest, GitSource, ListDeploymentsRequest,
    ListDeploysRequest, Revision, UploadDagBundleRequest,
};
use tonic::Code;

use super::{Wrong, each_is_told, huge, no_name_is_taken};
use crate::harness::orders::WORKSPACE;
use crate::harness::refusal::done;
use crate::harness::requests::{self, deploy, image};
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(
    no_name_but_a_name_is_taken,
    create_deployment_tells_all_that_is_wrong,
    create_deploy_tells_all_that_is_wrong,
    create_rollback_deploy_tells_all_that_is_wrong,
    an_upload_tells_what_is_wrong_with_its_header,
    what_is_too_large_for_a_message_is_refused,
);

async fn no_name_but_a_name_is_taken(setup: Setup) {
    let orders = Orders::new(setup).await;
    let registry = || orders.admin.registry();
    no_name_is_taken("name", async |name| {
        registry()
            .get_deployment(GetDeploymentRequest { name })
            .await
    })
    .await;
    no_name_is_taken("name", async |name| {
        registry().get_deploy(GetDeployRequest { name }).await
    })
    .await;
    no_name_is_taken("name", async |name| {
        registry()
            .get_dag_bundle(GetDagBundleRequest { name })
            .await
    })
    .await;
    no_name_is_taken("name", async |name| {
        registry()
            .download_dag_bundle(DownloadDagBundleRequest { name })
            .await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = ListDeploymentsRequest {
            parent,
            ..Default::default()
        };
        registry().list_deployments(request).await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = ListDeploysRequest {
            parent,
            ..Default::default()
        };
        registry().list_deploys(request).await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = CreateDeploymentRequest {
            parent,
            ..Default::default()
        };
        registry().create_deployment(request).await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = CreateDeployRequest {
            parent,
            ..Default::default()
        };
        registry().create_deploy(request).await
    })
    .await;
    no_name_is_taken("header.parent", async |parent| {
        let header = requests::header(&parent, &"0".repeat(64), 1);
        registry()
            .upload_dag_bundle(tokio_stream::iter([header]))
            .await
    })
    .await;
    let itself = orders.stack.orchestrator_itself();
    no_name_is_taken("parent", async |parent| {
        let request = CreateRollbackDeployRequest {
            parent,
            ..Default::default()
        };
        itself.registry().create_rollback_deploy(request).await
    })
    .await;
    no_name_is_taken("rollback", async |rollback| {
        itself
            .registry()
            .close_rollback(CloseRollbackRequest { rollback })
            .await
    })
    .await;
}

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

async fn create_deploy_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::new(setup).await;
    let good = CreateDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        deploy: Some(Deploy {
            revision: Some(image('a', "3.1-9")),
            git: Some(GitSource {
                repository: "acme/orders".to_owned(),
                commit_sha: "0".repeat(40),
                ..GitSource::default()
            }),
            ..Deploy::default()
        }),
        ..CreateDeployRequest::default()
    };
    fn of(request: &mut CreateDeployRequest) -> &mut Deploy {
        request.deploy.as_mut().unwrap()
    }
    fn git(request: &mut CreateDeployRequest) -> &mut GitSource {
        of(request).git.as_mut().unwrap()
    }
    fn revision(request: &mut CreateDeployRequest) -> &mut Revision {
        of(request).revision.as_mut().unwrap()
    }
    fn shipped(request: &mut CreateDeployRequest) -> &mut proto::registry::v1::Image {
        revision(request).image.as_mut().unwrap()
    }
    fn dbt(mount_path: &str) -> Vec<proto::registry::v1::DbtBundle> {
        requests::dbt(mount_path, &"0".repeat(64)).dbt_bundles
    }
    const REPOSITORY: &[&str] = &["deploy.revision.image.repository"];
    const TAG: &[&str] = &["deploy.revision.image.tag"];
    const DIGEST: &[&str] = &["deploy.revision.image.digest"];
    const BUNDLE: &[&str] = &["deploy.revision.dag_bundle.sha256"];
    const EXPECTED: &[&str] = &["expected_latest_deploy"];
    let wrongs: &[Wrong<CreateDeployRequest>] = &[
        ("no deploy", |r| r.deploy = None, &["deploy"]),
        (
            "no revision",
            |r| of(r).revision = None,
            &["deploy.revision"],
        ),
        (
            "a deploy of nothing",
            |r| *revision(r) = Revision::default(),
            &["deploy.revision"],
        ),
        (
            "no repository",
            |r| shipped(r).repository.clear(),
            REPOSITORY,
        ),
        (
            "a repository in capitals",
            |r| shipped(r).repository = "Acme/Orders".into(),
            REPOSITORY,
        ),
        (
            "a repository with a tag",
            |r| shipped(r).repository.push_str(":latest"),
            REPOSITORY,
        ),
        (
            "a huge repository",
            |r| shipped(r).repository = huge(),
            REPOSITORY,
        ),
        ("a tag with a space", |r| shipped(r).tag = "a b".into(), TAG),
        ("a tag of 129", |r| shipped(r).tag = "x".repeat(129), TAG),
        ("no digest", |r| shipped(r).digest.clear(), DIGEST),
        (
            "a digest without its kind",
            |r| shipped(r).digest = "0".repeat(64),
            DIGEST,
        ),
        (
            "a digest in capitals",
            |r| shipped(r).digest = format!("sha256:{}", "A".repeat(64)),
            DIGEST,
        ),
        (
            "a short digest",
            |r| shipped(r).digest = "sha256:00".into(),
            DIGEST,
        ),
        (
            "no version",
            |r| revision(r).runtime_version.clear(),
            &["deploy.revision.runtime_version"],
        ),
        (
            "a huge version",
            |r| revision(r).runtime_version = huge(),
            &["deploy.revision.runtime_version"],
        ),
        (
            "a bundle of nothing",
            |r| revision(r).dag_bundle = Some(Bundle::default()),
            BUNDLE,
        ),
        (
            "a bundle by another digest",
            |r| revision(r).dag_bundle = Some(requests::bundle("sha256:00")),
            BUNDLE,
        ),
        (
            "a dbt project at a relative path",
            |r| revision(r).dbt_bundles = dbt("dbt/sales"),
            &["deploy.revision.dbt_bundles[0].mount_path"],
        ),
        (
            "a dbt project outside",
            |r| revision(r).dbt_bundles = dbt("/usr/local/../../etc"),
            &["deploy.revision.dbt_bundles[0].mount_path"],
        ),
        (
            "a dbt project twice",
            |r| revision(r).dbt_bundles = [dbt("/dbt"), dbt("/dbt")].concat(),
            &["deploy.revision.dbt_bundles[1].mount_path"],
        ),
        (
            "too many dbt projects",
            |r| revision(r).dbt_bundles = (0..17).flat_map(|n| dbt(&format!("/{n}"))).collect(),
            &["deploy.revision.dbt_bundles"],
        ),
        (
            "a long description",
            |r| of(r).description = "x".repeat(501),
            &["deploy.description"],
        ),
        (
            "a commit of no length",
            |r| git(r).commit_sha = "abc".into(),
            &["deploy.git.commit_sha"],
        ),
        (
            "a commit of nowhere",
            |r| git(r).repository.clear(),
            &["deploy.git.repository"],
        ),
        (
            "a URL that is a script",
            |r| git(r).commit_url = "javascript:alert(1)".into(),
            &["deploy.git.commit_url"],
        ),
        (
            "a request_id of nobody",
            |r| r.request_id = huge(),
            &["request_id"],
        ),
        (
            "no deploy that was expected",
            |r| r.expected_latest_deploy = "5".into(),
            EXPECTED,
        ),
        (
            "a deploy of another Deployment",
            |r| r.expected_latest_deploy = "workspaces/acme/deployments/billing/deploys/0".into(),
            EXPECTED,
        ),
        (
            "everything",
            |r| {
                r.request_id = "!".into();
                r.expected_latest_deploy = "!".into();
                of(r).description = "\0".into();
                git(r).branch = "\u{1b}[31m".into();
                git(r).author = huge();
                shipped(r).repository = "!".into();
                shipped(r).tag = "!".into();
                shipped(r).digest = "!".into();
                revision(r).runtime_version = "!".into();
                revision(r).airflow_version = "!".into();
                revision(r).dag_bundle = Some(requests::bundle("!"));
            },
            &[
                "request_id",
                "expected_latest_deploy",
                "deploy.description",
                "deploy.git.branch",
                "deploy.git.author",
                "deploy.revision.image.repository",
                "deploy.revision.image.tag",
                "deploy.revision.image.digest",
                "deploy.revision.runtime_version",
                "deploy.revision.airflow_version",
                "deploy.revision.dag_bundle.sha256",
            ],
        ),
    ];
    let send = async |request| orders.dana.registry().create_deploy(request).await;
    each_is_told(good.clone(), wrongs, send).await;

    let trial = CreateDeployRequest {
        validate_only: true,
        ..good.clone()
    };
    assert_eq!(done(send(trial).await).deploy.unwrap().number, 1);
    let too_early = CreateDeployRequest {
        expected_latest_deploy: deploy(DEPLOYMENT, 7),
        ..good.clone()
    };
    refused(send(too_early).await).is(Code::Aborted, "LATEST_DEPLOY_CHANGED");
    assert_eq!(orders.history().await, [], "nothing was recorded");
    let first = CreateDeployRequest {
        expected_latest_deploy: deploy(DEPLOYMENT, 0),
        ..good
    };
    assert_eq!(done(send(first).await).deploy.unwrap().number, 1);
}

async fn create_rollback_deploy_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let good = orders.write(DEPLOYMENT, 3, RollbackScope::All).await;
    let wrongs: &[Wrong<CreateRollbackDeployRequest>] = &[
        ("no target", |r| r.target_deploy.clear(), &["target_deploy"]),
        (
            "deploy 0",
            |r| r.target_deploy = deploy(DEPLOYMENT, 0),
            &["target_deploy"],
        ),
        (
            "a target elsewhere",
            |r| r.target_deploy = "workspaces/acme/deployments/billing/deploys/1".into(),
            &["target_deploy"],
        ),
        ("no scope", |r| r.scope = 0, &["scope"]),
        ("an unknown scope", |r| r.scope = 99, &["scope"]),
        ("no rollback", |r| r.rollback.clear(), &["rollback"]),
        (
            "a rollback that is none",
            |r| r.rollback.push('x'),
            &["rollback"],
        ),
        (
            "a rollback elsewhere",
            |r| r.rollback = r.rollback.replace("orders", "billing"),
            &["rollback"],
        ),
        (
            "nothing expected",
            |r| r.expected_latest_deploy.clear(),
            &["expected_latest_deploy"],
        ),
        (
            "no reason",
            |r| r.description = "  ".into(),
            &["description"],
        ),
        (
            "a huge reason",
            |r| r.description = huge(),
            &["description"],
        ),
        (
            "everything",
            |r| {
                *r = CreateRollbackDeployRequest {
                    parent: r.parent.clone(),
                    ..CreateRollbackDeployRequest::default()
                }
            },
            &[
                "target_deploy",
                "scope",
                "rollback",
                "expected_latest_deploy",
                "description",
            ],
        ),
    ];
    let before = orders.history().await;
    let itself = orders.stack.orchestrator_itself();
    let send = async |request| itself.registry().create_rollback_deploy(request).await;
    each_is_told(good.clone(), wrongs, send).await;

    let huge_permit = CreateRollbackDeployRequest {
        permit: huge(),
        ..good.clone()
    };
    refused(send(huge_permit).await)
        .when("huge")
        .invalid_permit();
    let nowhere = CreateRollbackDeployRequest {
        target_deploy: deploy(DEPLOYMENT, 99),
        validate_only: true,
        ..good
    };
    refused(send(nowhere).await).not_found();
    assert_eq!(orders.history().await, before);
}

async fn an_upload_tells_what_is_wrong_with_its_header(setup: Setup) {
    let orders = Orders::new(setup).await;
    let zeros = "0".repeat(64);
    for (what, sha256, size, fields) in [
        ("no digest", "", 1, ["header.sha256"].as_slice()),
        ("a digest with its kind", "sha256:00", 1, &["header.sha256"]),
        ("no byte", &zeros, 0, &["header.size_bytes"]),
        ("less than no byte", &zeros, -1, &["header.size_bytes"]),
        (
            "nothing right",
            "!",
            i64::MIN,
            &["header.sha256", "header.size_bytes"],
        ),
    ] {
        let mut message = requests::header(DEPLOYMENT, sha256, 0);
        let UploadDagBundleRequest {
            part: Some(Part::Header(header)),
        } = &mut message
        else {
            panic!("no header");
        };
        header.size_bytes = size;
        let upload = tokio_stream::iter([message]);
        let refusal = refused(orders.dana.registry().upload_dag_bundle(upload).await);
        refusal.when(what).names_fields(fields);
    }
}

async fn what_is_too_large_for_a_message_is_refused(setup: Setup) {
    let orders = Orders::new(setup).await;
    let request = CreateDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        deploy: Some(Deploy {
            description: "x".repeat(5 * 1024 * 1024),
            revision: Some(image('a', "3.1-9")),
            ..Deploy::default()
        }),
        ..CreateDeployRequest::default()
    };
    let refusal = refused(orders.dana.registry().create_deploy(request).await);
    assert_eq!(refusal.code, Code::OutOfRange, "{refusal}");
    assert_eq!(orders.history().await, []);
}
