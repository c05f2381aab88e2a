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
use crate::domain::{BundleObject, BundleSize, DeploymentUid, StoredBundle};
use crate::store;

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
    let digest = name.digest();
    let uid = registry
        .store
        .deployment_uid(&deployment)
        .await
        .map_err(|error| About::deployment(&deployment).problem(error))?
        .ok_or_else(|| errors::deployment_missing(&deployment))?;
    let known = registry.store.use_bundle(&name, registry.environment.now());
    let known = known
        .await
        .map_err(|e| About::deployment(&deployment).problem(e))?;
    let known = known.map(|(_, bundle)| bundle);
    let bundle = match known {
        Some(bundle) if is_there(registry, uid, &bundle).await? => bundle,
        // If its bytes are gone, another upload brings them back.
        known => {
            let new = NewBundle {
                uid,
                name,
                size,
                object: BundleObject::new(digest, registry.environment.new_uuid()),
                gone: known.map(|bundle| bundle.object),
            };
            receive(registry, &new, &mut parts).await?;
            let bundle = keep(registry, &caller, new).await?;
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

/// A bundle whose bytes are to come.
struct NewBundle {
    uid: DeploymentUid,
    name: DagBundleName,
    size: BundleSize,
    object: BundleObject,
    /// The object that the Deployment has for the bundle, and that is not there.
    gone: Option<BundleObject>,
}

async fn is_there(
    registry: &Registry,
    uid: DeploymentUid,
    bundle: &StoredBundle,
) -> Result<bool, Problem> {
    let there = registry.bundles.has(uid, &bundle.object, bundle.size).await;
    there.map_err(errors::bundle_store)
}

/// Streams the bytes into the bundle store, if there is room for them. Unless they are what was
/// announced, nothing is left of them.
async fn receive<S>(
    registry: &Registry,
    new: &NewBundle,
    parts: &mut Parts<S>,
) -> Result<(), Problem>
where
    S: Stream<Item = Result<pb::UploadDagBundleRequest, Status>> + Unpin,
{
    let NewBundle {
        uid,
        name,
        size,
        object,
        gone,
    } = new;
    if gone.is_none() {
        let quota = registry.bundle_quota;
        let room = registry.store.check_quota(*uid, *size, quota).await;
        room.map_err(|error| About::deployment(name.deployment()).problem(error))?;
    }
    let upload = registry.bundles.upload(*uid, object).await;
    let mut upload = upload.map_err(errors::bundle_store)?;
    match fill(&mut upload, name, *size, parts).await {
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

/// Notes that the Deployment has the bundle, whose bytes are there for good by now. Bytes that came
/// in vain are removed; those that nobody could note anything of are left to the sweep.
async fn keep(
    registry: &Registry,
    caller: &Caller,
    new: NewBundle,
) -> Result<StoredBundle, Problem> {
    let NewBundle {
        uid,
        name,
        size,
        object,
        gone,
    } = new;
    let bundle = StoredBundle {
        name,
        size,
        object,
        created_by: caller.principal().clone(),
        create_time: registry.environment.now(),
    };
    let quota = registry.bundle_quota;
    let store = &registry.store;
    let kept = store.add_bundle(uid, &bundle, gone.as_ref(), quota).await;
    let in_vain = match &kept {
        Ok(kept) => kept.object != bundle.object,
        Err(store::Error::QuotaExceeded { used: _, quota: _ }) => true,
        Err(_) => false,
    };
    if in_vain && let Err(error) = registry.bundles.remove(uid, &bundle.object).await {
        tracing::warn!(dag_bundle = %bundle.name, %error, "bytes that came in vain are left behind");
    }
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
