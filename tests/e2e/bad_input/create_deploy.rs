use proto::registry::v1::{
    Bundle, CreateDeployRequest, DbtBundle, Deploy, DeployTrigger, GitSource, Image, Revision,
};
use tonic::Code;

use super::{Wrong, each_is_told, huge};
use crate::harness::refusal::done;
use crate::harness::requests::{self, deploy, image};
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(
    create_deploy_tells_all_that_is_wrong,
    what_is_too_large_for_a_message_is_refused,
);

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
    fn shipped(request: &mut CreateDeployRequest) -> &mut Image {
        revision(request).image.as_mut().unwrap()
    }
    fn dbt(mount_path: &str) -> Vec<DbtBundle> {
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
            "a workflow without its commit",
            |r| {
                of(r).trigger = DeployTrigger::Github.into();
                of(r).git = None;
            },
            &["deploy.git"],
        ),
        (
            "a commit that was pulled with an image",
            |r| of(r).trigger = DeployTrigger::GitSync.into(),
            &["deploy.revision"],
        ),
        (
            "a rollback by hand",
            |r| of(r).trigger = DeployTrigger::Rollback.into(),
            &["deploy.trigger"],
        ),
        (
            "no trigger that there is",
            |r| of(r).trigger = 77,
            &["deploy.trigger"],
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
    refusal.is(Code::ResourceExhausted, "LIMIT_EXCEEDED");
    assert_eq!(orders.history().await, []);
}
