use proto::registry::v1::{
    CreateDeployRequest, Deploy, MarkDeployRequest, PlaceHoldRequest, ReleaseHoldRequest, Revision,
    UpdateDeployRequest, Verdict,
};
use tonic::{Code, Status};

use super::ledger::{Answer, Call, Cell, Part, Work};
use crate::harness::crashing::{Book, said};
use crate::harness::requests::{self, bundle, image, last, patient, sha256};
use crate::harness::{Person, until};

const LARGEST_BUNDLE: usize = 20_000;

/// A call that is under way, and what goes with it.
struct Sending<'a> {
    admin: &'a Person,
    call: Call,
    /// The bytes of an upload.
    bytes: &'a [u8],
}

/// Uploads and ships, marks and pins what was shipped, and holds one of the Deployments.
pub(super) async fn work(
    client: usize,
    admin: &Person,
    book: &Book,
    deployments: &[&str],
) -> Vec<Call> {
    let mut calls = Vec::new();
    for turn in 0.. {
        if book.closed() {
            break;
        }
        let deployment = deployments[(client + turn) % deployments.len()];
        let mut call = async |work: Work, bytes: &[u8], repeats: bool| {
            let call = make(admin, book, work, bytes, repeats).await;
            let done = match &call.answer {
                Some(Answer::Done(name)) => Some(name.clone()),
                Some(Answer::Refused) | None => None,
            };
            calls.push(call);
            done
        };
        let repeats = turn % 3 > 0;
        let mut set = async |cell, value: &str| {
            let value = value.to_owned();
            call(Work::Set { cell, value }, &[], repeats).await
        };
        // One client holds each Deployment, for a moment, and ships nothing meanwhile.
        if turn % 4 == 3 && client < deployments.len() {
            let cell = || Cell::Hold(deployments[client].to_owned());
            set(cell(), &format!("hold {turn}")).await;
            if turn % 8 == 3 {
                set(cell(), &format!("hold {turn}, still")).await;
            }
            // Nobody can ship before this is answered.
            call(released(deployments[client]), &[], true).await;
            continue;
        }
        let part = if turn % 2 == 0 {
            let bytes = format!("{client} {turn} ");
            let bytes = bytes.repeat(1 + book.random() * LARGEST_BUNDLE / 256 / bytes.len());
            let bundle = format!("{deployment}/dagBundles/{}", sha256(bytes.as_bytes()));
            let upload = Work::Upload {
                bundle: bundle.clone(),
            };
            if call(upload, bytes.as_bytes(), repeats).await.is_none() {
                continue;
            }
            Part::Bundle(bundle)
        } else {
            Part::Image(format!(
                "sha256:{}",
                sha256(format!("{client} {turn}").as_bytes())
            ))
        };
        let ship = Work::Ship {
            deployment: deployment.to_owned(),
            description: format!("{client} {turn}"),
            part,
        };
        let Some(deploy) = call(ship, &[], repeats).await else {
            continue;
        };
        let mut set = async |cell, value: &str| {
            let value = value.to_owned();
            call(Work::Set { cell, value }, &[], repeats).await
        };
        match turn % 4 {
            0 => {
                set(Cell::Mark(deploy.clone()), "slow").await;
                set(Cell::Mark(deploy), "wrong").await;
            }
            1 => {
                set(Cell::Pin(deploy.clone()), "pinned").await;
                set(Cell::Mark(deploy.clone()), "slow").await;
                set(Cell::Pin(deploy), "").await;
            }
            _ => {
                set(Cell::Pin(deploy), "pinned").await;
            }
        }
    }
    calls
}

/// Lets everybody ship.
pub(super) fn released(deployment: &str) -> Work {
    Work::Set {
        cell: Cell::Hold(deployment.to_owned()),
        value: String::new(),
    }
}

/// Makes a call. Whoever gets no answer repeats it until there is one, or goes on without.
pub(super) async fn make(
    admin: &Person,
    book: &Book,
    work: Work,
    bytes: &[u8],
    repeats: bool,
) -> Call {
    let shipped_once =
        matches!(work, Work::Ship { .. }) && !repeats && book.random().is_multiple_of(2);
    let request_id = match shipped_once {
        true => String::new(),
        false => book.new_request_id(),
    };
    let call = Call {
        work,
        request_id,
        answer: None,
    };
    let mut sending = Sending { admin, call, bytes };
    book.begin();
    sending.call.answer = sending.send().await;
    if sending.call.answer.is_none() && repeats {
        let answer = until("an answer", async || sending.send().await).await;
        sending.call.answer = Some(answer);
    }
    sending.call
}

/// Sends once more what is shipped with a request id, now that nothing is killed: it is answered as it
/// was, or for the first time.
pub(super) async fn repeat(admin: &Person, call: &mut Call) {
    let is_shipped = matches!(call.work, Work::Ship { .. });
    if !is_shipped || call.request_id.is_empty() || call.answer == Some(Answer::Refused) {
        return;
    }
    let sending = Sending {
        admin,
        call: call.clone(),
        bytes: &[],
    };
    let again = sending.send().await;
    assert!(
        call.answer.is_none() || call.answer == again,
        "{call:?}: {again:?}"
    );
    call.answer = again;
}

impl Sending<'_> {
    /// Sends it, and returns the answer unless it was lost.
    async fn send(&self) -> Option<Answer> {
        match self.try_send().await {
            Ok(name) => Some(Answer::Done(name)),
            Err(status) => {
                let refusal = said(&status)?;
                let held = refusal.is(Code::FailedPrecondition, "DEPLOY_HELD");
                assert!(matches!(self.call.work, Work::Ship { .. }), "{held}");
                Some(Answer::Refused)
            }
        }
    }

    async fn try_send(&self) -> Result<String, Status> {
        let mut registry = self.admin.registry();
        let request_id = self.call.request_id.clone();
        match &self.call.work {
            Work::Ship {
                deployment,
                description,
                part,
            } => {
                let revision = match part {
                    Part::Image(digest) => {
                        let mut revision = image('a', "3.1-9");
                        revision.image.as_mut().unwrap().digest = digest.clone();
                        revision
                    }
                    Part::Bundle(name) => Revision {
                        dag_bundle: Some(bundle(last(name))),
                        ..Revision::default()
                    },
                };
                let request = patient(CreateDeployRequest {
                    parent: deployment.clone(),
                    deploy: Some(Deploy {
                        description: description.clone(),
                        revision: Some(revision),
                        ..Deploy::default()
                    }),
                    request_id,
                    ..CreateDeployRequest::default()
                });
                let shipped = registry.create_deploy(request).await?.into_inner();
                Ok(shipped.deploy.unwrap().name)
            }
            Work::Upload { bundle } => {
                let (deployment, _) = bundle.split_once("/dagBundles/").unwrap();
                let messages = requests::upload(deployment, self.bytes);
                let request = patient(tokio_stream::iter(messages));
                let uploaded = registry.upload_dag_bundle(request).await?.into_inner();
                Ok(uploaded.dag_bundle.unwrap().name)
            }
            Work::Set { cell, value } => self.set(cell, value).await,
        }
    }

    async fn set(&self, cell: &Cell, value: &str) -> Result<String, Status> {
        let mut registry = self.admin.registry();
        match cell {
            Cell::Mark(deploy) => {
                let request = patient(MarkDeployRequest {
                    name: deploy.clone(),
                    verdict: Verdict::Bad.into(),
                    reason: value.to_owned(),
                    ..MarkDeployRequest::default()
                });
                let marked = registry.mark_deploy(request).await?.into_inner();
                Ok(marked.deploy.unwrap().name)
            }
            Cell::Pin(deploy) => {
                let request = patient(UpdateDeployRequest {
                    deploy: Some(Deploy {
                        name: deploy.clone(),
                        pinned: !value.is_empty(),
                        ..Deploy::default()
                    }),
                    update_mask: Some(prost_types::FieldMask {
                        paths: vec!["pinned".to_owned()],
                    }),
                    request_id: self.call.request_id.clone(),
                });
                let updated = registry.update_deploy(request).await?.into_inner();
                Ok(updated.deploy.unwrap().name)
            }
            Cell::Hold(deployment) if value.is_empty() => {
                let request = patient(ReleaseHoldRequest {
                    name: deployment.clone(),
                });
                let released = registry.release_hold(request).await?.into_inner();
                Ok(released.deployment.unwrap().name)
            }
            Cell::Hold(deployment) => {
                let request = patient(PlaceHoldRequest {
                    name: deployment.clone(),
                    reason: value.to_owned(),
                });
                let placed = registry.place_hold(request).await?.into_inner();
                Ok(placed.deployment.unwrap().name)
            }
        }
    }
}
