//! DownloadDagBundle streams a bundle: first what it is, then its bytes in order.

use std::pin::Pin;

use chassis::identity::caller;
use chassis::problem::Problem;
use futures::{Stream, StreamExt, stream};
use model::{DagBundleName, Sha256Digest};
use proto::registry::v1 as pb;
use proto::registry::v1::download_dag_bundle_response::Part;
use sha2::{Digest, Sha256};
use tonic::{Request, Status};

use super::{Registry, encode, errors, get_dag_bundle};
use crate::bundle_store::{self, BundleStore};
use crate::domain::{DeploymentUid, StoredBundle};

/// The largest chunk that is sent.
const CHUNK: u64 = 1024 * 1024;

/// The messages of a download. Its last chunk is held back if the bytes are not what was uploaded, so
/// that no client takes them for it. Each chunk is read when the one before is on its way.
pub(crate) type Chunks =
    Pin<Box<dyn Stream<Item = Result<pb::DownloadDagBundleResponse, Status>> + Send>>;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::DownloadDagBundleRequest>,
) -> Result<Chunks, Problem> {
    let caller = caller(&request)?;
    let (uid, bundle) = get_dag_bundle::find(registry, &caller, &request.into_inner().name).await?;
    let first = message(Part::DagBundle(encode::dag_bundle(&bundle)));
    let chunks = chunks(registry.bundles.clone(), uid, bundle);
    Ok(stream::once(async { Ok(first) }).chain(chunks).boxed())
}

fn chunks(
    bundles: BundleStore,
    uid: DeploymentUid,
    bundle: StoredBundle,
) -> impl Stream<Item = Result<pb::DownloadDagBundleResponse, Status>> + Send {
    let size = bundle.size.bytes();
    stream::try_unfold((0, Sha256::new()), move |(from, mut hash)| {
        let bundles = bundles.clone();
        let (name, object) = (bundle.name.clone(), bundle.object.clone());
        async move {
            if from == size {
                return Ok(None);
            }
            let to = size.min(from + CHUNK);
            let read = bundles.read(uid, &object, from..to).await;
            let bytes = read.map_err(|error| unreadable(&name, error))?;
            hash.update(&bytes);
            if to == size && Sha256Digest::new(hash.clone().finalize().into()) != name.digest() {
                return Err(Problem::internal(Damaged(name)).into());
            }
            Ok(Some((message(Part::Chunk(bytes)), (to, hash))))
        }
    })
}

fn unreadable(name: &DagBundleName, error: bundle_store::Error) -> Problem {
    if error.is_not_found() {
        errors::bundles_missing(name.deployment(), &[name.digest()])
    } else {
        errors::bundle_store(error)
    }
}

/// The bytes are as many as they were, but not the same.
#[derive(Debug, thiserror::Error)]
#[error(
    "the bytes of {0} have changed in the bundle store: remove that object and upload it again"
)]
struct Damaged(DagBundleName);

const fn message(part: Part) -> pb::DownloadDagBundleResponse {
    pb::DownloadDagBundleResponse { part: Some(part) }
}
