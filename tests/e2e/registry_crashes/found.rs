use std::collections::BTreeSet;

use proto::registry::v1::{
    self as pb, ChangeKind, GetDagBundleRequest, ListDeploysRequest, WatchDeploysRequest,
};
use tonic::Code;

use super::ledger::{Call, Change, Deploy, Found, History, Kind, Part, Work};
use crate::harness::crashing::said;
use crate::harness::refusal::done;
use crate::harness::requests::last;
use crate::harness::{Person, Refusal, until};

const PAGE_SIZE: i32 = 100;

/// Everything that a service says of Deployments, their bundles byte by byte.
pub(super) async fn all(admin: &Person, deployments: &[&str], calls: &[Call]) -> Found {
    let mut found = Found::new();
    for deployment in deployments {
        let history = history(admin, deployment, calls).await;
        found.insert((*deployment).to_owned(), history);
    }
    found
}

async fn history(admin: &Person, name: &str, calls: &[Call]) -> History {
    let deployment = admin.deployment(name).await;
    let deploys = deploys(admin, name).await;
    let uploaded = calls.iter().filter_map(|call| match &call.work {
        Work::Ship {
            part: Part::Bundle(bundle),
            ..
        }
        | Work::Upload { bundle } => Some(bundle),
        Work::Ship { .. } | Work::Set { .. } => None,
    });
    let shipped = deploys.iter().map(|deploy| &deploy.bundle);
    let of_it = format!("{name}/");
    let named = uploaded.chain(shipped);
    let named = named.filter(|bundle| bundle.starts_with(&of_it));
    let mut bundles = BTreeSet::new();
    for bundle in named.collect::<BTreeSet<_>>() {
        if is_whole(admin, name, bundle).await {
            bundles.insert(bundle.clone());
        }
    }
    History {
        latest: deployment.latest_deploy,
        hold: deployment.hold.map(|hold| hold.reason).unwrap_or_default(),
        change: deployment.change,
        changes: follow(admin, name, |last| last == deployment.change).await,
        deploys,
        bundles,
    }
}

async fn deploys(admin: &Person, deployment: &str) -> Vec<Deploy> {
    let mut deploys = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListDeploysRequest {
            parent: deployment.to_owned(),
            page_size: PAGE_SIZE,
            page_token,
            ..ListDeploysRequest::default()
        };
        let page = done(admin.registry().list_deploys(request).await);
        let found = page.deploys.into_iter();
        deploys.extend(found.map(|deploy| found_deploy(deployment, deploy)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    deploys.reverse();
    deploys
}

fn found_deploy(deployment: &str, deploy: pb::Deploy) -> Deploy {
    let revision = deploy.revision.unwrap();
    let bundle = revision.dag_bundle.unwrap().sha256;
    Deploy {
        name: deploy.name,
        description: deploy.description,
        image: revision.image.unwrap().digest,
        bundle: format!("{deployment}/dagBundles/{bundle}"),
        mark: deploy.mark.map(|mark| mark.reason).unwrap_or_default(),
        pin: if deploy.pinned { "pinned" } else { "" }.to_owned(),
    }
}

/// Whether a bundle is there. If it is, all of its bytes are.
async fn is_whole(admin: &Person, deployment: &str, name: &str) -> bool {
    let name = name.to_owned();
    let sha256 = last(&name).to_owned();
    match admin
        .registry()
        .get_dag_bundle(GetDagBundleRequest { name })
        .await
    {
        Ok(bundle) => {
            let bytes = admin.download(deployment, &sha256).await;
            let size = i64::try_from(bytes.len()).unwrap();
            assert_eq!(bundle.into_inner().dag_bundle.unwrap().size_bytes, size);
            true
        }
        Err(status) => {
            Refusal::of(&status).is(Code::NotFound, "RESOURCE_NOT_FOUND");
            false
        }
    }
}

/// Watches a Deployment from its beginning, over all interruptions, until it has seen all there is.
pub(super) async fn follow(
    admin: &Person,
    deployment: &str,
    is_last: impl Fn(i64) -> bool,
) -> Vec<Change> {
    let mut seen = Vec::new();
    let mut last_change = 0;
    loop {
        let request = WatchDeploysRequest {
            parent: deployment.to_owned(),
            after_change: last_change,
            ..WatchDeploysRequest::default()
        };
        let mut messages = match admin.registry().watch_deploys(request).await {
            Ok(messages) => messages.into_inner(),
            Err(status) => {
                assert!(said(&status).is_none(), "{}", Refusal::of(&status));
                continue;
            }
        };
        // A stream that breaks is begun again after what was seen.
        loop {
            let over = until("a change, or to hear that there are no more", async || {
                is_last(last_change).then_some(())
            });
            tokio::select! {
                message = messages.message() => {
                    let Ok(Some(message)) = message else { break };
                    last_change = message.last_change;
                    seen.extend(message.changes.into_iter().map(seen_change));
                }
                () = over => return seen,
            }
        }
    }
}

fn seen_change(change: pb::Change) -> Change {
    let kind = match change.kind() {
        ChangeKind::DeploymentCreated => Kind::DeploymentCreated,
        ChangeKind::DeployCreated => Kind::DeployCreated,
        ChangeKind::DeployMarked => Kind::Marked,
        ChangeKind::DeployUpdated => Kind::Pinned,
        ChangeKind::HoldPlaced => Kind::HoldPlaced,
        ChangeKind::HoldReleased => Kind::HoldReleased,
        other @ (ChangeKind::Unspecified
        | ChangeKind::DeploymentUpdated
        | ChangeKind::DeploymentDeleted
        | ChangeKind::DeployStateChanged) => panic!("nobody asked for {other:?}"),
    };
    Change {
        number: change.change,
        kind,
        name: change.deploy,
    }
}
