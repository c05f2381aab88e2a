//! The messages that cases send, as they should be; a case changes what it is about.

use std::time::Duration;

use proto::authorization::v1::Role;
use proto::common::v1::RollbackScope;
use proto::registry::v1::upload_dag_bundle_request::Part;
use proto::registry::v1::{
    Bundle, CreateDeployRequest, DbtBundle, Deploy, Image, Revision, UploadDagBundleHeader,
    UploadDagBundleRequest,
};
use proto::rollback::v1::create_rollback_request::Target as RollbackTarget;
use proto::rollback::v1::plan_rollback_request::Target as PlanTarget;
use proto::rollback::v1::{CreateRollbackRequest, PlanRollbackRequest, WarningCode};
use sha2::{Digest, Sha256};
use tonic::Request;

/// Small enough that every bundle needs more than one.
const CHUNK_BYTES: usize = 100;
/// Longer than a service may take to say that it cannot say.
const PATIENCE: Duration = Duration::from_secs(20);

/// A call that is given up if there is no answer for long.
pub(crate) fn patient<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

pub(crate) fn role(permissions: &[&str]) -> Role {
    Role {
        permissions: permissions.iter().map(|p| (*p).to_owned()).collect(),
        ..Role::default()
    }
}

/// The header and the chunks of an upload.
pub(crate) fn upload(deployment: &str, bytes: &[u8]) -> Vec<UploadDagBundleRequest> {
    let header = header(deployment, &sha256(bytes), bytes.len());
    let chunks = bytes.chunks(CHUNK_BYTES).map(chunk);
    std::iter::once(header).chain(chunks).collect()
}

pub(crate) fn header(deployment: &str, sha256: &str, size: usize) -> UploadDagBundleRequest {
    let header = UploadDagBundleHeader {
        parent: deployment.to_owned(),
        sha256: sha256.to_owned(),
        size_bytes: size.try_into().unwrap(),
    };
    UploadDagBundleRequest {
        part: Some(Part::Header(header)),
    }
}

pub(crate) fn chunk(bytes: &[u8]) -> UploadDagBundleRequest {
    UploadDagBundleRequest {
        part: Some(Part::Chunk(bytes.to_vec().into())),
    }
}

/// A revision that ships an image with a runtime.
pub(crate) fn image(digit: char, runtime: &str) -> Revision {
    Revision {
        image: Some(Image {
            repository: "registry.example.com/acme/orders".to_owned(),
            tag: format!("build-{digit}"),
            digest: format!("sha256:{}", digit.to_string().repeat(64)),
        }),
        runtime_version: runtime.to_owned(),
        ..Revision::default()
    }
}

pub(crate) fn bundle(sha256: &str) -> Bundle {
    Bundle {
        sha256: sha256.to_owned(),
        ..Bundle::default()
    }
}

/// A revision that ships a dbt project.
pub(crate) fn dbt(mount_path: &str, sha256: &str) -> Revision {
    let dbt = DbtBundle {
        mount_path: mount_path.to_owned(),
        sha256: sha256.to_owned(),
        ..DbtBundle::default()
    };
    Revision {
        dbt_bundles: vec![dbt],
        ..Revision::default()
    }
}

pub(crate) fn plan(deployment: &str, target: i64, scope: RollbackScope) -> PlanRollbackRequest {
    PlanRollbackRequest {
        parent: deployment.to_owned(),
        target: Some(PlanTarget::TargetDeploy(deploy(deployment, target))),
        scope: scope.into(),
        hold: false,
        allow_marked_bad: false,
    }
}

/// A rollback by somebody who has read every warning that there can be.
pub(crate) fn rollback(
    deployment: &str,
    target: i64,
    scope: RollbackScope,
) -> CreateRollbackRequest {
    let acknowledged = [
        WarningCode::RuntimeDowngrade,
        WarningCode::MetadataLoss,
        WarningCode::MajorVersionChange,
        WarningCode::DagsMayNotFit,
    ];
    CreateRollbackRequest {
        parent: deployment.to_owned(),
        target: Some(RollbackTarget::TargetDeploy(deploy(deployment, target))),
        scope: scope.into(),
        description: "orders cannot be imported".to_owned(),
        acknowledged_warnings: acknowledged.map(Into::into).to_vec(),
        ..CreateRollbackRequest::default()
    }
}

/// The name of a deploy.
pub(crate) fn deploy(deployment: &str, number: i64) -> String {
    format!("{deployment}/deploys/{number}")
}

/// The last part of a name.
pub(crate) fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Ships a revision.
pub(crate) fn create_deploy(parent: &str, revision: Revision) -> CreateDeployRequest {
    CreateDeployRequest {
        parent: parent.to_owned(),
        deploy: Some(Deploy {
            revision: Some(revision),
            ..Deploy::default()
        }),
        ..CreateDeployRequest::default()
    }
}
