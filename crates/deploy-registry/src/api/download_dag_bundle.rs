//! DownloadDagBundle streams a bundle: first what it is, then its bytes in order.

use std::pin::Pin;

use chassis::identity::caller;
use chassis::problem::Problem;
use futures::{Stream, StreamExt, stream};
use proto::registry::v1 as pb;
use proto::registry::v1::download_dag_bundle_response::Part;
use tonic::{Request, Status};

use super::{Registry, encode, errors, get_dag_bundle};
use crate::bundle_store::BundleStore;
use crate::domain::{DeploymentUid, StoredBundle};

/// The largest chunk that is sent.
const CHUNK: u64 = 1024 * 1024;

/// The messages of a download. Each chunk is read when the one before is on its way.
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
    stream::try_unfold(0, move |from| {
        let bundles = bundles.clone();
        let name = bundle.name.clone();
        async move {
            if from == size {
                return Ok(None);
            }
            let to = size.min(from + CHUNK);
            match bundles.read(uid, name.digest(), from..to).await {
                Ok(bytes) => Ok(Some((message(Part::Chunk(bytes)), to))),
                Err(error) if error.is_not_found() => {
                    Err(errors::bundles_missing(name.deployment(), &[name.digest()]).into())
                }
                Err(error) => Err(errors::bundle_store(error).into()),
            }
        }
    })
}

const fn message(part: Part) -> pb::DownloadDagBundleResponse {
    pb::DownloadDagBundleResponse { part: Some(part) }
}
