//! The steps of the demo, in the order in which they are told.

use anyhow::{Context, Result, bail, ensure};
use proto::authorization::v1::{CreateRoleBindingRequest, CreateRoleRequest, Role, RoleBinding};
use proto::common::v1::{ErrorReason, RollbackScope};
use proto::registry::v1::deploy_registry_service_client::DeployRegistryServiceClient;
use proto::registry::v1::download_dag_bundle_response::Part as Downloaded;
use proto::registry::v1::upload_dag_bundle_request::Part as Uploaded;
use proto::registry::v1::{
    Bundle, CreateDeployRequest, CreateDeploymentRequest, CreateRollbackDeployRequest,
    DagDeployMode, Deploy, Deployment, DownloadDagBundleRequest, GetDeploymentRequest, Image,
    ListDeploysRequest, Revision, UploadDagBundleHeader, UploadDagBundleRequest,
};
use proto::rollback::v1::create_rollback_request::Target as RollbackTarget;
use proto::rollback::v1::plan_rollback_request::Target as PlanTarget;
use proto::rollback::v1::{
    CreateRollbackRequest, Plan, PlanRollbackRequest, Rollback, RollbackState, WarningCode,
};
use tokio_stream::StreamExt;
use tonic::{Code, Response, Status};

use super::people::Person;
use super::{DEPLOYMENT, WORKSPACE, bundles, show};
use crate::bearer::PersonalChannel;

/// A client of the registry.
pub(super) type Registry = DeployRegistryServiceClient<PersonalChannel>;

const CHUNK_BYTES: usize = 64 * 1024;

/// What was shipped.
pub(super) struct Shipped {
    /// The name of the third deploy: the last good one of its kind.
    pub third: String,
    /// How many deploys there are.
    pub count: usize,
}

/// Step 1: a Deployment that may be rolled back.
pub(super) async fn make_deployment(admin: &mut Person) -> Result<()> {
    let deployment = Deployment {
        display_name: "Orders".to_owned(),
        dag_deploy_mode: DagDeployMode::DagOnly.into(),
        rollback_enabled: true,
        settings: [("executor".to_owned(), "celery".to_owned())].into(),
        ..Deployment::default()
    };
    let request = CreateDeploymentRequest {
        parent: WORKSPACE.to_owned(),
        deployment_id: show::last(DEPLOYMENT).to_owned(),
        deployment: Some(deployment),
        ..CreateDeploymentRequest::default()
    };
    let created = done(
        "CreateDeployment",
        admin.registry.create_deployment(request).await,
    )?;
    println!(
        "   {}",
        created.deployment.context("no Deployment came back")?.name
    );
    Ok(())
}

/// Step 1: Dana may do everything with deploys, Sam may look and push DAGs.
pub(super) async fn make_people(admin: &mut Person, dana: &Person, sam: &Person) -> Result<()> {
    let role = CreateRoleRequest {
        parent: DEPLOYMENT.to_owned(),
        role_id: "dag-pusher".to_owned(),
        role: Some(Role {
            display_name: "DAG pusher".to_owned(),
            permissions: vec!["deployment.dags.push".to_owned()],
            ..Role::default()
        }),
        ..CreateRoleRequest::default()
    };
    let created = done("CreateRole", admin.authorization.create_role(role).await)?;
    let dag_pusher = created.role.context("no role came back")?.name;

    bind(admin, dana, "roles/DEPLOYMENT_EDITOR").await?;
    bind(admin, sam, "roles/DEPLOYMENT_VIEWER").await?;
    bind(admin, sam, &dag_pusher).await
}

async fn bind(admin: &mut Person, person: &Person, role: &str) -> Result<()> {
    let request = CreateRoleBindingRequest {
        parent: DEPLOYMENT.to_owned(),
        role_binding: Some(RoleBinding {
            principal: person.principal.clone(),
            role: role.to_owned(),
            ..RoleBinding::default()
        }),
        ..CreateRoleBindingRequest::default()
    };
    done(
        "CreateRoleBinding",
        admin.authorization.create_role_binding(request).await,
    )?;
    println!("   {} is {role}", person.principal);
    Ok(())
}

/// Step 2: five deploys.
pub(super) async fn ship_five_deploys(dana: &mut Person) -> Result<Shipped> {
    let old = |revision: Revision| Revision {
        runtime_version: "3.1-9".to_owned(),
        ..revision
    };
    let new = |revision: Revision| Revision {
        runtime_version: "3.1-17".to_owned(),
        ..revision
    };
    let first = Revision {
        image: Some(image("1.0", 'a')),
        ..dags(dana, &bundles::V1).await?
    };
    ship(dana, "Orders, the first version", old(first)).await?;
    let second = dags(dana, &bundles::V2).await?;
    ship(dana, "Check the orders before use", second).await?;
    let third = dags(dana, &bundles::V3).await?;
    let third = ship(dana, "Weekly report of returns", third).await?;
    let fourth = Revision {
        image: Some(image("1.1", 'b')),
        ..Revision::default()
    };
    ship(dana, "Newer runtime", new(fourth)).await?;
    let fifth = dags(dana, &bundles::V4_BROKEN).await?;
    ship(dana, "Revenue in euros", fifth).await?;
    Ok(Shipped {
        third: third.name,
        count: 5,
    })
}

fn image(tag: &str, digit: char) -> Image {
    Image {
        repository: "registry.example.com/acme/orders".to_owned(),
        tag: tag.to_owned(),
        digest: format!("sha256:{}", digit.to_string().repeat(64)),
    }
}

/// Uploads a bundle, and returns what a deploy says to ship it.
async fn dags(dana: &mut Person, bundle: &bundles::Bundle) -> Result<Revision> {
    let header = UploadDagBundleHeader {
        parent: DEPLOYMENT.to_owned(),
        sha256: bundle.sha256(),
        size_bytes: i64::try_from(bundle.bytes.len())?,
    };
    let chunks = bundle
        .bytes
        .chunks(CHUNK_BYTES)
        .map(|chunk| Uploaded::Chunk(chunk.into()));
    let parts = std::iter::once(Uploaded::Header(header)).chain(chunks);
    let messages = parts
        .map(|part| UploadDagBundleRequest { part: Some(part) })
        .collect::<Vec<_>>();
    let upload = dana
        .registry
        .upload_dag_bundle(tokio_stream::iter(messages))
        .await;
    let uploaded = done("UploadDagBundle", upload)?
        .dag_bundle
        .context("no bundle came back")?;
    let dag_bundle = Bundle {
        sha256: uploaded.sha256,
        ..Bundle::default()
    };
    Ok(Revision {
        dag_bundle: Some(dag_bundle),
        ..Revision::default()
    })
}

async fn ship(dana: &mut Person, description: &str, revision: Revision) -> Result<Deploy> {
    let deploy = Deploy {
        description: description.to_owned(),
        revision: Some(revision),
        ..Deploy::default()
    };
    let request = CreateDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        deploy: Some(deploy),
        ..CreateDeployRequest::default()
    };
    let created = done("CreateDeploy", dana.registry.create_deploy(request).await)?;
    let deploy = created.deploy.context("no deploy came back")?;
    println!("   #{} {description}", deploy.number);
    Ok(deploy)
}

/// Step 3: the history as an operator reads it.
pub(super) async fn show_history(dana: &mut Person) -> Result<Vec<Deploy>> {
    let deployment = deployment(dana).await?;
    let request = ListDeploysRequest {
        parent: DEPLOYMENT.to_owned(),
        ..ListDeploysRequest::default()
    };
    let deploys = done("ListDeploys", dana.registry.list_deploys(request).await)?.deploys;
    println!(
        "{}",
        indented(&show::history(&deploys, &deployment.current_deploy))
    );
    Ok(deploys)
}

async fn deployment(person: &mut Person) -> Result<Deployment> {
    let request = GetDeploymentRequest {
        name: DEPLOYMENT.to_owned(),
    };
    let response = done(
        "GetDeployment",
        person.registry.get_deployment(request).await,
    )?;
    response.deployment.context("no Deployment came back")
}

/// Step 4: the plan, without touching anything.
pub(super) async fn plan_rollback(dana: &mut Person, target: &str) -> Result<Plan> {
    let request = PlanRollbackRequest {
        parent: DEPLOYMENT.to_owned(),
        scope: RollbackScope::All.into(),
        target: Some(PlanTarget::TargetDeploy(target.to_owned())),
        hold: false,
        allow_marked_bad: false,
    };
    let response = done("PlanRollback", dana.rollback.plan_rollback(request).await)?;
    let plan = response.plan.context("no plan came back")?;
    println!("{}", indented(&show::plan(&plan)));
    ensure!(plan.blockers.is_empty(), "the plan is blocked");
    let warned = |code: WarningCode| plan.warnings.iter().any(|warning| warning.code() == code);
    ensure!(
        warned(WarningCode::RuntimeDowngrade) && warned(WarningCode::MetadataLoss),
        "the plan does not warn of the older runtime and of the metadata that it loses"
    );
    Ok(plan)
}

/// Step 5: a person with one permission asks for everything.
pub(super) async fn refuse_without_permission(sam: &mut Person, target: &str) -> Result<()> {
    let request = CreateRollbackRequest {
        parent: DEPLOYMENT.to_owned(),
        target: Some(RollbackTarget::TargetDeploy(target.to_owned())),
        scope: RollbackScope::All.into(),
        description: "Orders cannot be imported".to_owned(),
        ..CreateRollbackRequest::default()
    };
    let status = refused(
        "CreateRollback",
        sam.rollback.create_rollback(request).await,
    )?;
    expect(
        &status,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    )?;
    println!("{}", indented(&show::refusal(&status)));
    let refusal = show::refusal(&status);
    ensure!(
        refusal.contains("deployment.images.push") && refusal.contains("DAGS"),
        "the refusal does not say which permission is missing and which scope is open"
    );
    Ok(())
}

/// Step 6: exactly the plan that was shown, and nothing else.
pub(super) async fn roll_back(
    dana: &mut Person,
    shipped: &Shipped,
    plan: &Plan,
) -> Result<Rollback> {
    let needed = plan
        .warnings
        .iter()
        .filter(|warning| warning.must_acknowledge);
    let request = CreateRollbackRequest {
        parent: DEPLOYMENT.to_owned(),
        target: Some(RollbackTarget::TargetDeploy(shipped.third.clone())),
        scope: RollbackScope::All.into(),
        description: "Orders cannot be imported".to_owned(),
        plan_digest: plan.digest.clone(),
        acknowledged_warnings: needed.map(|warning| warning.code).collect(),
        ..CreateRollbackRequest::default()
    };
    let response = done(
        "CreateRollback",
        dana.rollback.create_rollback(request).await,
    )?;
    let rollback = response.rollback.context("no rollback came back")?;
    ensure!(
        rollback.state() == RollbackState::Succeeded,
        "the rollback did not succeed"
    );
    println!(
        "   {} made deploy #{}",
        rollback.name,
        show::last(&rollback.deploy)
    );

    let history = show_history(dana).await?;
    let numbers = history
        .iter()
        .map(|deploy| deploy.number)
        .collect::<Vec<_>>();
    ensure!(
        numbers == [6, 5, 4, 3, 2, 1],
        "the history lost or gained a deploy: {numbers:?}"
    );
    let revision_of = |number| {
        history
            .iter()
            .find(|deploy| deploy.number == number)
            .and_then(|d| d.revision.clone())
    };
    ensure!(
        revision_of(6) == revision_of(3),
        "what runs now is not what deploy 3 ran"
    );
    ensure!(
        history.len() == shipped.count + 1,
        "the rollback did not add exactly one deploy"
    );
    Ok(rollback)
}

/// Step 7: the bytes are the same.
pub(super) async fn compare_bundle(dana: &mut Person) -> Result<()> {
    let revision = deployment(dana)
        .await?
        .current_revision
        .context("nothing runs")?;
    let sha256 = revision.dag_bundle.context("no DAG bundle runs")?.sha256;
    let request = DownloadDagBundleRequest {
        name: format!("{DEPLOYMENT}/dagBundles/{sha256}"),
    };
    let mut stream = done(
        "DownloadDagBundle",
        dana.registry.download_dag_bundle(request).await,
    )?;
    let mut bytes = Vec::new();
    while let Some(message) = stream.next().await {
        match message.context("the download broke")?.part {
            Some(Downloaded::Chunk(chunk)) => bytes.extend_from_slice(&chunk),
            Some(Downloaded::DagBundle(_)) | None => {}
        }
    }
    ensure!(
        bytes == bundles::V3.bytes,
        "the bytes differ from those of deploy 3"
    );
    println!("   {} bytes, SHA-256 {sha256}: the same", bytes.len());
    Ok(())
}

/// Step 8: neither an administrator nor the orchestrator itself writes a rollback without a permit.
pub(super) async fn refuse_without_permit(
    admin: &mut Person,
    orchestrator: &mut Registry,
    shipped: &Shipped,
    rollback: &Rollback,
) -> Result<()> {
    let request = CreateRollbackDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        target_deploy: shipped.third.clone(),
        scope: RollbackScope::All.into(),
        rollback: format!("{DEPLOYMENT}/rollbacks/00000000-0000-4000-8000-000000000000"),
        expected_latest_deploy: rollback.deploy.clone(),
        description: "Behind everybody's back".to_owned(),
        ..CreateRollbackDeployRequest::default()
    };

    let attempt = admin.registry.create_rollback_deploy(request.clone()).await;
    let status = refused("CreateRollbackDeploy as an administrator", attempt)?;
    expect(
        &status,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    )?;
    println!(
        "{}",
        indented(&format!("as an administrator: {}", show::refusal(&status)))
    );

    let attempt = orchestrator.create_rollback_deploy(request).await;
    let status = refused("CreateRollbackDeploy without a permit", attempt)?;
    expect(&status, Code::PermissionDenied, ErrorReason::PermitInvalid)?;
    println!(
        "{}",
        indented(&format!("as the orchestrator: {}", show::refusal(&status)))
    );

    let deployment = deployment(admin).await?;
    ensure!(
        deployment.latest_deploy == rollback.deploy,
        "something was written all the same"
    );
    Ok(())
}

fn done<T>(call: &str, response: Result<Response<T>, Status>) -> Result<T> {
    match response {
        Ok(response) => Ok(response.into_inner()),
        Err(status) => bail!("{call} failed: {}", show::refusal(&status)),
    }
}

fn refused<T>(call: &str, response: Result<Response<T>, Status>) -> Result<Status> {
    match response {
        Ok(_) => bail!("{call} went through, and must not"),
        Err(status) => Ok(status),
    }
}

fn expect(status: &Status, code: Code, reason: ErrorReason) -> Result<()> {
    let right = status.code() == code && chassis::problem::reason_of(status) == Some(reason);
    ensure!(
        right,
        "refused for another reason than expected: {}",
        show::refusal(status)
    );
    Ok(())
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("   {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
