use std::cell::Cell;
use std::time::Duration;

use proto::common::v1::RollbackScope;
use proto::registry::v1::{
    CreateDeployRequest, Deploy, GetDeploymentRequest, GetDeploymentResponse, Revision,
};
use proto::rollback::v1::{
    CancelRollbackRequest, CreateRollbackRequest, GetRollbackRequest, PlanRollbackResponse,
    Rollback,
};
use tonic::{Code, Request, Response, Status};

use super::book::Book;
use super::history::{Answer, Asked, Cancel, Part, Shipped};
use super::random::Random;
use crate::harness::crashing::said;
use crate::harness::requests::{self, bundle, image, last, sha256};
use crate::harness::{Person, Refusal, until};

/// Shorter than some processes stand still: then the client goes to the other side.
const PATIENCE: Duration = Duration::from_secs(4);

/// Somebody who works on all Deployments, through one side and the other.
pub(super) struct Client<'a> {
    pub(super) number: usize,
    pub(super) sides: [Person; 2],
    pub(super) scopes: &'static [RollbackScope],
    pub(super) deployments: &'a [String],
    pub(super) random: Random,
    pub(super) book: &'a Book,
}

/// What a client has asked for and was answered.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) asked: Vec<Asked>,
    pub(super) shipped: Vec<Shipped>,
}

impl Client<'_> {
    /// Rolls back, and ships now and then, until enough was done.
    pub(super) async fn work(mut self) -> Ledger {
        let mut ledger = Ledger::default();
        for turn in 0.. {
            if self.book.is_over() {
                break;
            }
            let deployment = self.random.one_of(self.deployments).clone();
            let description = format!("client {}, turn {turn}", self.number);
            if self.random.percent(20) {
                let shipped = self.ship(&deployment, &description).await;
                ledger.shipped.push(shipped);
            } else if let Some(asked) = self.roll_back(&deployment, &description).await {
                ledger.asked.push(asked);
            }
        }
        ledger
    }

    /// Asks one side and the other until one says something. Says also whether an answer was lost.
    async fn ask<T>(
        &self,
        what: &str,
        call: impl AsyncFn(&Person) -> Result<Response<T>, Status>,
    ) -> (Result<T, Refusal>, bool) {
        let first = self.number;
        let attempts = Cell::new(0);
        let answer = until(what, async || {
            let person = &self.sides[(first + attempts.get()) % 2];
            attempts.update(|attempts| attempts + 1);
            let outcome = match call(person).await {
                Ok(answer) => return Some(Ok(answer.into_inner())),
                Err(status) => said(&status)?,
            };
            // It was accepted, and goes on.
            let unfinished = outcome.reason == "ROLLBACK_UNFINISHED";
            (!unfinished).then_some(Err(outcome))
        })
        .await;
        self.book.lose(attempts.get() - 1);
        (answer, attempts.get() > 1)
    }

    async fn roll_back(&mut self, deployment: &str, description: &str) -> Option<Asked> {
        let latest = self.latest(deployment).await;
        let target = 1 + i64::try_from(self.random.below(latest.try_into().unwrap())).unwrap();
        let scope = *self.random.one_of(self.scopes);
        let mut request = CreateRollbackRequest {
            description: description.to_owned(),
            request_id: self.book.new_request_id(),
            ..requests::rollback(deployment, target, scope)
        };
        if self.random.percent(25) {
            let plan = requests::plan(deployment, target, scope);
            let (planned, _) = self
                .ask("a plan", async |person| {
                    person
                        .orchestrator()
                        .plan_rollback(soon(plan.clone()))
                        .await
                })
                .await;
            let PlanRollbackResponse { plan } = planned.ok()?;
            request.plan_digest = plan.unwrap().digest;
        }
        let cancels = self.random.percent(25);
        let over = Cell::new(false);
        let creating = async {
            let answer = self
                .ask("a rollback to be done", async |person| {
                    let request = soon(request.clone());
                    person.orchestrator().create_rollback(request).await
                })
                .await;
            over.set(true);
            answer
        };
        let cancelling = async {
            match cancels {
                true => self.cancel(&request, &over).await,
                false => Cancel::NotAsked,
            }
        };
        let ((answer, lost), cancel) = tokio::join!(creating, cancelling);
        let (answer, read_again) = match answer {
            Ok(response) => {
                self.book.succeed();
                let rollback = response.rollback.unwrap();
                let read_again = self.read(&rollback.name).await;
                (Answer::Succeeded(Box::new(rollback)), Some(read_again))
            }
            Err(refusal) => (self.refused(refusal), None),
        };
        Some(Asked {
            person: self.sides[0].principal.clone(),
            deployment: deployment.to_owned(),
            target,
            scope,
            description: description.to_owned(),
            lost,
            answer,
            cancel,
            read_again,
        })
    }

    /// Cancels what a request was accepted as, if it is not over before that.
    async fn cancel(&self, request: &CreateRollbackRequest, over: &Cell<bool>) -> Cancel {
        let trial = CreateRollbackRequest {
            validate_only: true,
            ..request.clone()
        };
        let mut accepted = None;
        for turn in 0.. {
            if over.get() {
                return Cancel::NotAsked;
            }
            let mut orchestrator = self.sides[turn % 2].orchestrator();
            let shown = orchestrator.create_rollback(soon(trial.clone())).await;
            let refusal = shown.err().map(|status| Refusal::of(&status));
            if let Some(refusal) = refusal.filter(|it| it.reason == "ROLLBACK_UNFINISHED") {
                accepted = Some(refusal.about("rollback").to_owned());
                break;
            }
        }
        let request = CancelRollbackRequest {
            name: accepted.unwrap(),
        };
        let (cancelled, _) = self
            .ask("a rollback to be cancelled", async |person| {
                let request = soon(request.clone());
                person.orchestrator().cancel_rollback(request).await
            })
            .await;
        match cancelled {
            Ok(_) => Cancel::Done,
            Err(refusal) => {
                refusal.is(Code::FailedPrecondition, "ROLLBACK_ENDED");
                Cancel::TooLate
            }
        }
    }

    /// What a refusal says of the rollback.
    fn refused(&self, refusal: Refusal) -> Answer {
        const EXPECTED: [&str; 10] = [
            "LATEST_DEPLOY_CHANGED",
            "PLAN_CHANGED",
            "PERMIT_INVALID",
            "PERMIT_USED",
            "ROLLBACK_BLOCKED",
            "ROLLBACK_CANCELLED",
            "ROLLBACK_CLOSED",
            "ROLLBACK_DEADLINE_EXCEEDED",
            "ROLLBACK_IN_PROGRESS",
            "TARGET_NOT_FOUND",
        ];
        assert!(EXPECTED.contains(&refusal.reason.as_str()), "{refusal}");
        self.book.refuse(&refusal.reason);
        match refusal.metadata.get("rollback") {
            Some(rollback) if refusal.reason != "ROLLBACK_IN_PROGRESS" => Answer::Ended {
                rollback: rollback.clone(),
            },
            Some(_) | None => Answer::Refused,
        }
    }

    async fn read(&self, rollback: &str) -> Rollback {
        let name = rollback.to_owned();
        let request = GetRollbackRequest { name };
        let (read, _) = self
            .ask("to read a rollback", async |person| {
                person
                    .orchestrator()
                    .get_rollback(soon(request.clone()))
                    .await
            })
            .await;
        read.unwrap().rollback.unwrap()
    }

    async fn latest(&self, deployment: &str) -> i64 {
        let name = deployment.to_owned();
        let request = GetDeploymentRequest { name };
        let (read, _) = self
            .ask("to read a Deployment", async |person| {
                person
                    .registry()
                    .get_deployment(soon(request.clone()))
                    .await
            })
            .await;
        let GetDeploymentResponse { deployment } = read.unwrap();
        last(&deployment.unwrap().latest_deploy).parse().unwrap()
    }

    /// Ships as CI does: an image, or DAGs.
    async fn ship(&mut self, deployment: &str, description: &str) -> Shipped {
        let bytes = format!("{deployment} {description}").into_bytes();
        let digest = sha256(&bytes);
        // Who may roll back everything may ship an image.
        let is_image = self.scopes.contains(&RollbackScope::All) && self.random.percent(50);
        let (part, revision) = if is_image {
            let runtime = *self.random.one_of(&["3.1-9", "3.1-17"]);
            let mut revision = image('a', runtime);
            let shipped = revision.image.as_mut().unwrap();
            shipped.digest = format!("sha256:{digest}");
            let part = Part::Image {
                image: shipped.clone(),
                runtime_version: runtime.to_owned(),
            };
            (part, revision)
        } else {
            let (uploaded, _) = self
                .ask("an upload", async |person| {
                    let messages = requests::upload(deployment, &bytes);
                    let messages = soon(tokio_stream::iter(messages));
                    person.registry().upload_dag_bundle(messages).await
                })
                .await;
            uploaded.unwrap();
            let revision = Revision {
                dag_bundle: Some(bundle(&digest)),
                ..Revision::default()
            };
            (Part::Dags(digest), revision)
        };
        let request = CreateDeployRequest {
            parent: deployment.to_owned(),
            deploy: Some(Deploy {
                description: description.to_owned(),
                revision: Some(revision),
                ..Deploy::default()
            }),
            request_id: self.book.new_request_id(),
            ..CreateDeployRequest::default()
        };
        let (shipped, _) = self
            .ask("a deploy", async |person| {
                person.registry().create_deploy(soon(request.clone())).await
            })
            .await;
        Shipped {
            person: self.sides[0].principal.clone(),
            deployment: deployment.to_owned(),
            description: description.to_owned(),
            part,
            answer: shipped.unwrap().deploy.unwrap().name,
        }
    }
}

/// A call that is not waited for as long as a process may stand still.
fn soon<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}
