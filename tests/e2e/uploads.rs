//! A bundle is there whole or not at all.

use std::path::Path;

use proto::registry::v1::{CreateDeployRequest, Deploy, GetDagBundleRequest, Revision};
use proto::registry::v1::{UploadDagBundleRequest, UploadDagBundleResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Response, Status};

use crate::harness::orders::{V1, V2};
use crate::harness::requests::{self, chunk, header, image, sha256};
use crate::harness::{DEPLOYMENT, Orders, Setup, refused, until};

on_both_databases!(
    an_upload_that_does_not_keep_its_word_leaves_nothing,
    an_upload_that_breaks_off_or_stalls_leaves_nothing,
    a_bundle_over_the_limit_is_refused_by_its_header,
    a_bundle_belongs_to_one_deployment,
);

const SMALL: [&str; 2] = ["--max-bundle-bytes", "10000"];

async fn an_upload_that_does_not_keep_its_word_leaves_nothing(setup: Setup) {
    let orders = Orders::new(setup.registry_flags(&SMALL)).await;
    let right = sha256(V1);
    let whole = || requests::upload(DEPLOYMENT, V1);
    let announced = |sha256: &str, size| {
        [
            vec![header(DEPLOYMENT, sha256, size)],
            whole()[1..].to_vec(),
        ]
        .concat()
    };
    for (what, messages) in [
        ("other bytes", announced(&sha256(V2), V1.len())),
        ("a byte less", announced(&right, V1.len() + 1)),
        ("a byte more", announced(&right, V1.len() - 1)),
        ("half of it", whole()[..3].to_vec()),
        ("no byte", whole()[..1].to_vec()),
    ] {
        let refusal = refused(upload(&orders, messages).await);
        refusal
            .when(what)
            .is(Code::InvalidArgument, "DAG_BUNDLE_MISMATCH");
    }
    let nothing = UploadDagBundleRequest { part: None };
    for (what, messages) in [
        ("nothing at all", vec![]),
        ("a chunk before the header", whole()[1..].to_vec()),
        ("a message without part", vec![nothing.clone()]),
        ("two headers", [whole()[..2].to_vec(), whole()].concat()),
        (
            "an empty message in between",
            [whole()[..2].to_vec(), vec![nothing]].concat(),
        ),
        (
            "a chunk of more than 1 MiB",
            vec![whole()[0].clone(), chunk(&vec![0; 1024 * 1024 + 1])],
        ),
    ] {
        let refusal = refused(upload(&orders, messages).await);
        refusal.when(what).names_fields(&["part"]);
    }
    has_no_bundle(&orders, &right).await;
    has_no_bundle(&orders, &sha256(V2)).await;
    cannot_be_shipped(&orders, &right).await;

    orders.dana.upload(DEPLOYMENT, V1).await;
    assert!(orders.dana.download(DEPLOYMENT, &right).await == V1);
}

async fn an_upload_that_breaks_off_or_stalls_leaves_nothing(setup: Setup) {
    let setup = setup.registry_flags(&["--upload-stall-seconds", "1"]);
    let orders = Orders::new(setup).await;

    let (sender, messages) = mpsc::channel(1);
    let mut registry = orders.dana.registry();
    let stalled = tokio::spawn(async move {
        registry
            .upload_dag_bundle(ReceiverStream::new(messages))
            .await
    });
    for message in &requests::upload(DEPLOYMENT, V1)[..2] {
        sender.send(message.clone()).await.unwrap();
    }
    let refusal = refused(stalled.await.unwrap());
    refusal.is(Code::DeadlineExceeded, "STREAM_STALLED");

    let (sender, messages) = mpsc::channel(1);
    let mut registry = orders.dana.registry();
    let broken_off = tokio::spawn(async move {
        registry
            .upload_dag_bundle(ReceiverStream::new(messages))
            .await
    });
    for message in &requests::upload(DEPLOYMENT, V1)[..3] {
        sender.send(message.clone()).await.unwrap();
    }
    broken_off.abort();
    has_no_bundle(&orders, &sha256(V1)).await;
}

async fn a_bundle_over_the_limit_is_refused_by_its_header(setup: Setup) {
    let orders = Orders::new(setup.registry_flags(&SMALL)).await;
    let too_large = vec![7; 10_001];
    let refusal = refused(upload(&orders, requests::upload(DEPLOYMENT, &too_large)).await);
    let refusal = refusal.is(Code::ResourceExhausted, "LIMIT_EXCEEDED");
    assert_eq!(refusal.about("limit"), "10000");
    has_no_bundle(&orders, &sha256(&too_large)).await;

    let just_fits = vec![7; 10_000];
    orders.dana.upload(DEPLOYMENT, &just_fits).await;
}

async fn a_bundle_belongs_to_one_deployment(setup: Setup) {
    let orders = Orders::new(setup).await;
    let other = "workspaces/acme/deployments/billing";
    orders
        .admin
        .create_deployment(other, proto::registry::v1::DagDeployMode::DagOnly)
        .await;
    let first = orders.dana.upload(DEPLOYMENT, V1).await;
    assert_eq!(first.created_by, "user:dana");
    // The same again is answered from what is there.
    assert_eq!(orders.admin.upload(DEPLOYMENT, V1).await, first);

    let name = format!("{other}/dagBundles/{}", sha256(V1));
    let get = GetDagBundleRequest { name };
    refused(orders.admin.registry().get_dag_bundle(get.clone()).await).not_found();
    let shipped = CreateDeployRequest {
        parent: other.to_owned(),
        deploy: Some(first_deploy(&sha256(V1))),
        ..CreateDeployRequest::default()
    };
    refused(orders.admin.registry().create_deploy(shipped).await)
        .is(Code::FailedPrecondition, "DAG_BUNDLE_MISSING");
}

async fn upload(
    orders: &Orders,
    messages: Vec<UploadDagBundleRequest>,
) -> Result<Response<UploadDagBundleResponse>, Status> {
    let messages = tokio_stream::iter(messages);
    orders.dana.registry().upload_dag_bundle(messages).await
}

/// Neither for those who ask, nor in the store.
async fn has_no_bundle(orders: &Orders, sha256: &str) {
    let get = GetDagBundleRequest {
        name: format!("{DEPLOYMENT}/dagBundles/{sha256}"),
    };
    refused(orders.dana.registry().get_dag_bundle(get).await).not_found();
    let folder = orders.stack.bundle_folder();
    until("the store to be empty", async || {
        is_empty(&folder).then_some(())
    })
    .await;
}

async fn cannot_be_shipped(orders: &Orders, sha256: &str) {
    let request = CreateDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        deploy: Some(first_deploy(sha256)),
        ..CreateDeployRequest::default()
    };
    let refusal = refused(orders.dana.registry().create_deploy(request).await);
    let refusal = refusal.is(Code::FailedPrecondition, "DAG_BUNDLE_MISSING");
    let name = format!("{DEPLOYMENT}/dagBundles/{sha256}");
    assert_eq!(refusal.about("dag_bundle"), name);
}

fn first_deploy(sha256: &str) -> Deploy {
    let revision = Revision {
        dag_bundle: Some(requests::bundle(sha256)),
        ..image('a', "3.1-9")
    };
    Deploy {
        revision: Some(revision),
        ..Deploy::default()
    }
}

/// Whether there is no file in a folder, however deep.
fn is_empty(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return true;
    };
    entries
        .map(|entry| entry.unwrap())
        .all(|entry| entry.file_type().unwrap().is_dir() && is_empty(&entry.path()))
}
