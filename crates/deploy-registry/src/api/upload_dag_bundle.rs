//! UploadDagBundle stores a bundle: first a header, then its bytes in order.

use std::time::Duration;

use bytes::Bytes;
use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::{Caller, caller};
use chassis::problem::Problem;
use futures::{Stream, StreamExt};
use model::{DagBundleName, DeploymentName, Permission, PermissionSet};
use proto::common::v1::ErrorReason;
use proto::registry::v1 as pb;
use proto::registry::v1::upload_dag_bundle_request::Part;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Request, Status};

use super::errors::{self, About};
use super::{Registry, access, decode, encode};
use crate::bundle_store::BundleUpload;
use crate::domain::{BundleSize, DeploymentUid, StoredBundle};

/// The largest chunk that is taken.
const LARGEST_CHUNK: usize = 1024 * 1024;

pub(super) async fn handle<S>(
    registry: &Registry,
    request: Request<S>,
) -> Result<pb::UploadDagBundleResponse, Problem>
where
    S: Stream<Item = Result<pb::UploadDagBundleRequest, Status>> + Unpin,
{
    let caller = caller(&request)?;
    let mut parts = Parts::new(request.into_inner(), registry.upload_stall);
    let pb::UploadDagBundleHeader {
        parent,
        sha256,
        size_bytes,
    } = parts.header().await?;
    let deployment: DeploymentName = decode::name("header.parent", &parent)?;
    let needed = PermissionSet::of(&[Permission::DeploymentDagsPush]);
    let freshness = Freshness::FullyConsistent;
    access::require(registry, &caller, &deployment, needed, freshness).await?;

    let (name, size) = decode_header(registry, &deployment, &sha256, size_bytes)?;
    let uid = registry
        .store
        .deployment_uid(&deployment)
        .await
        .map_err(|error| About::deployment(&deployment).problem(error))?
        .ok_or_else(|| errors::deployment_missing(&deployment))?;
    let bundle = match find(registry, &name).await? {
        Some(bundle) => bundle,
        None => {
            receive(registry, uid, &name, size, &mut parts).await?;
            let bundle = keep(registry, &caller, uid, name, size).await?;
            tracing::info!(dag_bundle = %bundle.name, bytes = size.get(), "bundle stored");
            bundle
        }
    };
    Ok(pb::UploadDagBundleResponse {
        dag_bundle: Some(encode::dag_bundle(&bundle)),
    })
}

fn decode_header(
    registry: &Registry,
    deployment: &DeploymentName,
    sha256: &str,
    size_bytes: i64,
) -> Result<(DagBundleName, BundleSize), Problem> {
    let mut fields = Fields::new();
    let digest = fields.parse("header.sha256", sha256);
    let size = BundleSize::new(size_bytes).ok_or("must be at least 1");
    let size = fields.ok("header.size_bytes", size);
    let (Some(digest), Some(size)) = (digest, size) else {
        return Err(fields.into_problem());
    };
    let limit = registry.max_bundle_bytes;
    if size.get() > limit {
        return Err(too_large("a bundle has", limit));
    }
    Ok((DagBundleName::new(deployment.clone(), digest), size))
}

/// The bundle, if the Deployment has it and its bytes are there. If they are gone, another upload
/// brings them back.
async fn find(registry: &Registry, name: &DagBundleName) -> Result<Option<StoredBundle>, Problem> {
    let found = registry.store.bundle(name).await;
    let found = found.map_err(|error| About::deployment(name.deployment()).problem(error))?;
    let Some((uid, bundle)) = found else {
        return Ok(None);
    };
    let there = registry.bundles.has(uid, name.digest(), bundle.size).await;
    Ok(there.map_err(errors::bundle_store)?.then_some(bundle))
}

/// Streams the bytes into the bundle store. Unless they are what was announced, nothing is left of
/// them.
async fn receive<S>(
    registry: &Registry,
    uid: DeploymentUid,
    name: &DagBundleName,
    size: BundleSize,
    parts: &mut Parts<S>,
) -> Result<(), Problem>
where
    S: Stream<Item = Result<pb::UploadDagBundleRequest, Status>> + Unpin,
{
    let upload = registry.bundles.upload(uid, name.digest()).await;
    let mut upload = upload.map_err(errors::bundle_store)?;
    match fill(&mut upload, name, size, parts).await {
        Ok(()) => upload.publish().await.map_err(errors::bundle_store),
        Err(problem) => {
            upload.abort().await;
            Err(problem)
        }
    }
}

async fn fill<S>(
    upload: &mut BundleUpload,
    name: &DagBundleName,
    size: BundleSize,
    parts: &mut Parts<S>,
) -> Result<(), Problem>
where
    S: Stream<Item = Result<pb::UploadDagBundleRequest, Status>> + Unpin,
{
    while let Some(chunk) = parts.chunk().await? {
        upload.push(&chunk).await.map_err(errors::bundle_store)?;
        if upload.received() > size.bytes() {
            return Err(mismatch(format!("{} bytes", size.get()), "more".to_owned()));
        }
    }
    if upload.received() < size.bytes() {
        let received = format!("{} bytes", upload.received());
        return Err(mismatch(format!("{} bytes", size.get()), received));
    }
    let digest = upload.digest();
    if digest != name.digest() {
        return Err(mismatch(name.digest().to_string(), digest.to_string()));
    }
    Ok(())
}

/// Notes that the Deployment has the bundle, whose bytes are there for good by now.
async fn keep(
    registry: &Registry,
    caller: &Caller,
    uid: DeploymentUid,
    name: DagBundleName,
    size: BundleSize,
) -> Result<StoredBundle, Problem> {
    let bundle = StoredBundle {
        name,
        size,
        created_by: caller.principal().clone(),
        create_time: registry.environment.now(),
    };
    let kept = registry.store.add_bundle(uid, &bundle).await;
    kept.map_err(|error| About::deployment(bundle.name.deployment()).problem(error))
}

/// The messages of an upload, each of which must bring something within the time that a client may
/// send nothing.
struct Parts<S> {
    messages: S,
    stall: Duration,
}

impl<S> Parts<S>
where
    S: Stream<Item = Result<pb::UploadDagBundleRequest, Status>> + Unpin,
{
    const fn new(messages: S, stall: Duration) -> Self {
        Self { messages, stall }
    }

    async fn header(&mut self) -> Result<pb::UploadDagBundleHeader, Problem> {
        let deadline = Instant::now() + self.stall;
        match self.next(deadline).await? {
            Some(Part::Header(header)) => Ok(header),
            Some(Part::Chunk(_)) | None => Err(wrong_part(
                "the first message must be the header, with parent, sha256 and size",
            )),
        }
    }

    /// The next bytes; none at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        let deadline = Instant::now() + self.stall;
        loop {
            match self.next(deadline).await? {
                None => return Ok(None),
                Some(Part::Header(_)) => {
                    return Err(wrong_part("only the first message can be a header"));
                }
                Some(Part::Chunk(chunk)) if chunk.len() > LARGEST_CHUNK => {
                    return Err(wrong_part(&format!(
                        "a chunk has at most {LARGEST_CHUNK} bytes"
                    )));
                }
                // Nothing is not progress.
                Some(Part::Chunk(chunk)) if chunk.is_empty() => {}
                Some(Part::Chunk(chunk)) => return Ok(Some(chunk)),
            }
        }
    }

    async fn next(&mut self, deadline: Instant) -> Result<Option<Part>, Problem> {
        let message = timeout_at(deadline, self.messages.next()).await;
        match message.map_err(|_| self.stalled())? {
            None => Ok(None),
            Some(Ok(pb::UploadDagBundleRequest { part: Some(part) })) => Ok(Some(part)),
            Some(Ok(pb::UploadDagBundleRequest { part: None })) => {
                Err(wrong_part("must be a header or a chunk"))
            }
            Some(Err(status)) => Err(broken(status)),
        }
    }

    fn stalled(&self) -> Problem {
        let seconds = self.stall.as_secs();
        let message =
            format!("nothing came for {seconds} s, so the upload was given up: try again");
        Problem::new(Code::DeadlineExceeded, ErrorReason::StreamStalled, message)
    }
}

fn wrong_part(description: &str) -> Problem {
    let mut fields = Fields::new();
    fields.violation("part", description);
    fields.into_problem()
}

/// The stream ended with an error: the client went away, or sent what is no message.
fn broken(status: Status) -> Problem {
    let code = status.code();
    if matches!(code, Code::OutOfRange | Code::ResourceExhausted) {
        too_large("a chunk has", LARGEST_CHUNK.try_into().unwrap_or(i64::MAX))
    } else if matches!(code, Code::Internal | Code::InvalidArgument) {
        wrong_part("is no message of an upload")
    } else {
        let message = "the upload broke off: try again";
        Problem::new(Code::DeadlineExceeded, ErrorReason::StreamStalled, message).caused_by(status)
    }
}

fn too_large(what: &str, limit: i64) -> Problem {
    let message = format!("{what} at most {limit} bytes in this installation");
    Problem::new(Code::ResourceExhausted, ErrorReason::LimitExceeded, message).with("limit", limit)
}

fn mismatch(announced: String, received: String) -> Problem {
    let message = format!(
        "the header announces {announced}, and {received} came: read the bundle again, then upload it again"
    );
    Problem::new(
        Code::InvalidArgument,
        ErrorReason::DagBundleMismatch,
        message,
    )
    .with("announced", announced)
    .with("received", received)
}
