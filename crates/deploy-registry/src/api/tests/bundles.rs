use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::*;

const MIB: usize = 1024 * 1024;

async fn download(harness: &Harness, who: &str, name: &str) -> Result<Vec<u8>, Status> {
    use pb::download_dag_bundle_response::Part;

    let request = pb::DownloadDagBundleRequest {
        name: name.to_owned(),
    };
    let response = harness
        .registry
        .download_dag_bundle(harness.call(who, request))
        .await?;
    let mut messages = response.into_inner();
    let first = messages.next().await.unwrap()?;
    let Some(Part::DagBundle(bundle)) = first.part else {
        panic!("{first:?}")
    };
    assert_eq!(bundle.name, name);
    let mut bytes = Vec::new();
    while let Some(message) = messages.next().await {
        let Some(Part::Chunk(chunk)) = message?.part else {
            panic!("a second description")
        };
        assert!((1..=MIB).contains(&chunk.len()));
        bytes.extend(chunk);
    }
    assert_eq!(bytes.len(), usize::try_from(bundle.size_bytes).unwrap());
    Ok(bytes)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| u8::try_from(n * 31 % 251).unwrap())
        .collect()
}

#[tokio::test]
async fn a_bundle_comes_back_byte_for_byte() {
    let harness = Harness::with_deployment().await;
    for bytes in [pattern(1), pattern(MIB), pattern(2 * MIB + 17)] {
        let mut messages = vec![header(&bytes)];
        messages.extend(bytes.chunks(300_000).map(chunk));
        let bundle = harness.upload_messages("alice", messages).await.unwrap();
        assert_eq!(bundle.created_by, "user:alice");
        assert_eq!(
            download(&harness, "alice", &bundle.name).await.unwrap(),
            bytes
        );
        let request = pb::GetDagBundleRequest {
            name: bundle.name.clone(),
        };
        let found = harness
            .registry
            .get_dag_bundle(harness.call("alice", request))
            .await
            .unwrap();
        assert_eq!(found.into_inner().dag_bundle, Some(bundle));
    }
    assert_eq!(harness.files().len(), 3);
}

#[tokio::test]
async fn an_upload_that_is_not_as_announced_leaves_nothing() {
    let harness = Harness::with_deployment().await;
    let bytes = pattern(100_000);
    let (half, rest) = bytes.split_at(50_000);
    let announced = || header(&bytes);
    let mut other = bytes.clone();
    other[99_999] ^= 1;
    for (messages, reason) in [
        // Other bytes, too few, and too many.
        (
            vec![announced(), chunk(&other)],
            ErrorReason::DagBundleMismatch,
        ),
        (
            vec![announced(), chunk(half)],
            ErrorReason::DagBundleMismatch,
        ),
        (vec![announced()], ErrorReason::DagBundleMismatch),
        (
            vec![announced(), chunk(&bytes), chunk(&[0])],
            ErrorReason::DagBundleMismatch,
        ),
        (vec![announced(), announced()], ErrorReason::InvalidFields),
        (
            vec![announced(), chunk(half), announced(), chunk(rest)],
            ErrorReason::InvalidFields,
        ),
        (
            vec![announced(), pb::UploadDagBundleRequest { part: None }],
            ErrorReason::InvalidFields,
        ),
        (
            vec![announced(), chunk(&vec![0; MIB + 1])],
            ErrorReason::InvalidFields,
        ),
        (vec![chunk(&bytes)], ErrorReason::InvalidFields),
        (vec![], ErrorReason::InvalidFields),
    ] {
        let result = harness.upload_messages("alice", messages).await;
        assert_refused(result, Code::InvalidArgument, reason);
        assert_eq!(harness.files(), [""; 0]);
    }
    let status = harness
        .upload_messages("alice", vec![announced(), chunk(half)])
        .await
        .unwrap_err();
    assert_eq!(metadata(&status, "announced"), "100000 bytes");
    assert_eq!(metadata(&status, "received"), "50000 bytes");
}

#[tokio::test]
async fn a_header_that_is_wrong_is_refused_before_anything_is_written() {
    let harness = Harness::with_deployment().await;
    let sha256 = "a".repeat(64);
    for (parent, sha256, size, code, reason) in [
        (
            "",
            sha256.as_str(),
            1,
            Code::InvalidArgument,
            ErrorReason::InvalidFields,
        ),
        (
            ETL,
            "",
            1,
            Code::InvalidArgument,
            ErrorReason::InvalidFields,
        ),
        (
            ETL,
            "A",
            1,
            Code::InvalidArgument,
            ErrorReason::InvalidFields,
        ),
        (
            ETL,
            &sha256,
            0,
            Code::InvalidArgument,
            ErrorReason::InvalidFields,
        ),
        (
            ETL,
            &sha256,
            -1,
            Code::InvalidArgument,
            ErrorReason::InvalidFields,
        ),
        (
            ETL,
            &sha256,
            i64::MAX,
            Code::ResourceExhausted,
            ErrorReason::LimitExceeded,
        ),
        (
            ETL,
            &sha256,
            4 * 1024 * 1024 + 1,
            Code::ResourceExhausted,
            ErrorReason::LimitExceeded,
        ),
        (
            "workspaces/data/deployments/nowhere",
            &sha256,
            1,
            Code::NotFound,
            ErrorReason::ResourceNotFound,
        ),
    ] {
        let messages = vec![header_of(parent, sha256, size), chunk(b"x")];
        assert_refused(
            harness.upload_messages("alice", messages).await,
            code,
            reason,
        );
    }
    assert_eq!(harness.files(), [""; 0]);
}

#[tokio::test]
async fn an_upload_needs_its_permission() {
    let harness = Harness::with_deployment().await;
    harness.grant(
        "viewer",
        ETL,
        PermissionSet::of(&[Permission::DeploymentConfigGet]),
    );
    let result = harness.upload("viewer", b"dags").await;
    assert_refused(
        result,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    let result = harness.upload("nobody", b"dags").await;
    assert_refused(result, Code::NotFound, ErrorReason::ResourceNotFound);
    let bundle = harness.upload("alice", b"dags").await.unwrap();
    let result = download(&harness, "viewer", &bundle.name).await;
    assert_refused(
        result,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    let result = download(&harness, "nobody", &bundle.name).await;
    assert_refused(result, Code::NotFound, ErrorReason::ResourceNotFound);
}

#[tokio::test]
async fn an_upload_whose_client_goes_away_leaves_nothing() {
    let harness = Harness::with_deployment().await;
    let bytes = pattern(100_000);
    // Its stream breaks.
    let messages = futures::stream::iter(vec![
        Ok(header(&bytes)),
        Ok(chunk(&bytes[..50_000])),
        Err(Status::cancelled("the client went away")),
    ]);
    let result =
        upload_dag_bundle::handle(&harness.registry, harness.call("alice", messages)).await;
    assert_refused(
        result.map_err(Status::from),
        Code::DeadlineExceeded,
        ErrorReason::StreamStalled,
    );
    assert_eq!(harness.files(), [""; 0]);

    // The call itself is dropped, once something was written.
    let (sender, receiver) = mpsc::channel(1);
    let request = harness.call("alice", ReceiverStream::new(receiver));
    let registry = harness.registry.clone();
    let call = tokio::spawn(async move { upload_dag_bundle::handle(&registry, request).await });
    sender.send(Ok(header(&bytes))).await.unwrap();
    sender.send(Ok(chunk(&bytes[..50_000]))).await.unwrap();
    eventually(|| harness.files().len() == 1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    eventually(|| harness.files().is_empty()).await;
}

#[tokio::test]
async fn an_upload_that_sends_nothing_is_given_up() {
    let mut harness = Harness::with_deployment().await;
    harness.registry.upload_stall = Duration::from_millis(50);
    let bytes = pattern(100_000);
    let (sender, receiver) = mpsc::channel(100);
    sender.send(Ok(header(&bytes))).await.unwrap();
    // Nothing is not progress.
    sender.send(Ok(chunk(&[]))).await.unwrap();
    let request = harness.call("alice", ReceiverStream::new(receiver));
    let result = upload_dag_bundle::handle(&harness.registry, request).await;
    assert_refused(
        result.map_err(Status::from),
        Code::DeadlineExceeded,
        ErrorReason::StreamStalled,
    );
    assert_eq!(harness.files(), [""; 0]);

    let silent = harness.call("alice", futures::stream::pending());
    let result = upload_dag_bundle::handle(&harness.registry, silent).await;
    assert_refused(
        result.map_err(Status::from),
        Code::DeadlineExceeded,
        ErrorReason::StreamStalled,
    );
}

/// Waits until something is so.
async fn eventually(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap();
}

#[tokio::test]
async fn content_that_is_there_is_answered_after_the_header() {
    let harness = Harness::with_deployment().await;
    let bytes = pattern(100_000);
    let first = harness.upload("alice", &bytes).await.unwrap();
    harness.advance(TimeDelta::hours(1));
    harness.grant(
        "bob",
        ETL,
        PermissionSet::of(&[Permission::DeploymentDagsPush]),
    );
    let messages =
        futures::stream::iter(vec![Ok(header(&bytes))]).chain(futures::stream::pending());
    let request = harness.call("bob", messages);
    let again = upload_dag_bundle::handle(&harness.registry, request)
        .await
        .unwrap();
    assert_eq!(again.dag_bundle, Some(first));
}

#[tokio::test]
async fn racing_uploads_of_the_same_content_both_succeed() {
    let harness = Harness::with_deployment().await;
    let bytes = pattern(100_000);
    let begin = || {
        let (sender, receiver) = mpsc::channel(1);
        let request = harness.call("alice", ReceiverStream::new(receiver));
        let registry = harness.registry.clone();
        let call = tokio::spawn(async move { upload_dag_bundle::handle(&registry, request).await });
        (sender, call)
    };
    let uploads = [begin(), begin()];
    for (sender, _) in &uploads {
        sender.send(Ok(header(&bytes))).await.unwrap();
        sender.send(Ok(chunk(&bytes[..50_000]))).await.unwrap();
    }
    // Both are writing.
    eventually(|| harness.files().len() == 2).await;
    let mut bundles = Vec::new();
    for (sender, call) in uploads {
        sender.send(Ok(chunk(&bytes[50_000..]))).await.unwrap();
        drop(sender);
        bundles.push(call.await.unwrap().unwrap().dag_bundle.unwrap());
    }
    assert_eq!(bundles[0], bundles[1]);
    assert_eq!(harness.files().len(), 1);
    assert_eq!(
        download(&harness, "alice", &bundles[0].name).await.unwrap(),
        bytes
    );
}

#[tokio::test]
async fn bytes_that_are_gone_are_told_and_can_be_brought_back() {
    let harness = Harness::with_deployment().await;
    let bundle = harness.upload("alice", b"dags").await.unwrap();
    let file = || {
        let folder = harness.folder.path().join("bundles");
        folder.join(&harness.files()[0])
    };
    let remove = || std::fs::remove_file(file());
    let halve = || std::fs::write(file(), b"da");
    let damages: [&dyn Fn() -> std::io::Result<()>; 2] = [&remove, &halve];
    for damage in damages {
        damage().unwrap();
        let result = download(&harness, "alice", &bundle.name).await;
        assert_refused(
            result,
            Code::FailedPrecondition,
            ErrorReason::DagBundleMissing,
        );
        assert_eq!(harness.upload("alice", b"dags").await.unwrap(), bundle);
        assert_eq!(
            download(&harness, "alice", &bundle.name).await.unwrap(),
            b"dags"
        );
    }
}

#[tokio::test]
async fn bytes_that_have_changed_are_not_taken_for_the_bundle() {
    let harness = Harness::with_deployment().await;
    let bytes = pattern(2 * MIB);
    let mut messages = vec![header(&bytes)];
    messages.extend(bytes.chunks(MIB).map(chunk));
    let bundle = harness.upload_messages("alice", messages).await.unwrap();
    let file = harness
        .folder
        .path()
        .join("bundles")
        .join(&harness.files()[0]);
    let mut damaged = bytes;
    damaged[0] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let result = download(&harness, "alice", &bundle.name).await;
    assert_refused(result, Code::Internal, ErrorReason::Internal);
}

#[tokio::test]
async fn a_bundle_of_another_deployment_is_not_found() {
    let harness = Harness::with_deployment().await;
    harness.create_deployment("other").await;
    let bundle = harness.upload("alice", b"dags").await.unwrap();
    let elsewhere = bundle.name.replace("/etl/", "/other/");
    let result = download(&harness, "alice", &elsewhere).await;
    assert_refused(result, Code::NotFound, ErrorReason::ResourceNotFound);
}

#[tokio::test]
async fn bundles_over_the_quota_are_refused_and_leave_nothing() {
    let mut harness = Harness::with_deployment().await;
    harness.registry.bundle_quota = 100_000;
    let refuse = async |harness: &Harness, bytes: &[u8]| {
        let status = assert_refused(
            harness.upload("alice", bytes).await,
            Code::ResourceExhausted,
            ErrorReason::LimitExceeded,
        );
        assert_eq!(metadata(&status, "limit"), "100000");
    };
    refuse(&harness, &pattern(100_001)).await;
    assert_eq!(harness.files(), [""; 0]);
    harness.upload("alice", &pattern(60_000)).await.unwrap();
    refuse(&harness, &pattern(40_001)).await;
    // What the Deployment has takes no more room.
    harness.upload("alice", &pattern(60_000)).await.unwrap();
    harness.upload("alice", &pattern(40_000)).await.unwrap();
    assert_eq!(harness.files().len(), 2);
}

#[cfg(feature = "test-servers")]
#[tokio::test]
async fn a_bundle_comes_back_from_a_bucket_too() {
    let server = crate::bundle_store::tests::server::S3Server::start().await;
    let mut harness = Harness::with_deployment().await;
    harness.registry.bundles = server.store("s3://bundles");
    harness.registry.max_bundle_bytes = i64::MAX;
    let bytes = pattern(6 * MIB + 17);
    let mut messages = vec![header(&bytes)];
    messages.extend(bytes.chunks(MIB).map(chunk));
    let bundle = harness.upload_messages("alice", messages).await.unwrap();
    assert!(download(&harness, "alice", &bundle.name).await.unwrap() == bytes);

    let mut other = bytes.clone();
    other[17] ^= 1;
    let mut messages = vec![header(b"announced")];
    messages.extend(other.chunks(MIB).map(chunk));
    assert_refused(
        harness.upload_messages("alice", messages).await,
        Code::InvalidArgument,
        ErrorReason::DagBundleMismatch,
    );
}
