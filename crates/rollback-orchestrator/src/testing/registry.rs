//! A registry that does as it is told.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use proto::common::v1::ErrorReason;
use proto::registry::v1::deploy_registry_service_server::{
    DeployRegistryService, DeployRegistryServiceServer,
};
use proto::registry::v1::*;
use tonic::{Code, Request, Response, Status};

use super::{refusal, serve};

/// What the registry does with one call.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// What it is asked for.
    Obey,
    /// What it is asked for, but the answer does not arrive.
    ObeyAndLoseTheAnswer,
    /// Nothing but an error.
    Fail(Status),
    /// Never answers, and does nothing.
    Hang,
}

/// A registry for tests. It keeps only what a rollback id stands for: its deploy, or that it is
/// closed. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct FakeRegistry(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    /// What to do with the next writes; after that, as asked.
    pub(crate) writes: VecDeque<Act>,
    /// What to do with the next closes; after that, as asked.
    pub(crate) closes: VecDeque<Act>,
    /// What to do with every write that is not in `writes`.
    pub(crate) every_write: Option<Act>,
    /// What to do with every close that is not in `closes`.
    pub(crate) every_close: Option<Act>,
    /// What to do with the next looks at a deploy that a rollback has made; after that, as asked.
    pub(crate) looks: VecDeque<Act>,
    /// What to do with every look that is not in `looks`.
    pub(crate) every_look: Option<Act>,
    pub(crate) look_calls: u32,
    /// What state the deploys of rollbacks are in, and why. DEPLOYED if None.
    pub(crate) roll_out: Option<(DeployState, &'static str)>,
    /// The deploys that rollbacks have made.
    pub(crate) deploys: HashMap<String, i64>,
    /// Every rollback that a deploy was asked for.
    pub(crate) asked: HashSet<String>,
    pub(crate) closed: HashSet<String>,
    /// Every permit that arrived, in order.
    pub(crate) permits: Vec<String>,
    pub(crate) close_calls: u32,
    pub(crate) deployment: Option<Deployment>,
    /// By name.
    pub(crate) history: HashMap<String, Deploy>,
    pub(crate) preview: CreateRollbackDeployResponse,
    pub(crate) previews: u32,
    /// The last request to compose, and the last one to write.
    pub(crate) previewed: Option<CreateRollbackDeployRequest>,
    pub(crate) written: Option<CreateRollbackDeployRequest>,
    pub(crate) pages: u32,
    /// Pages have no more than this many deploys, if set.
    pub(crate) longest_page: Option<usize>,
    pub(crate) agents: Vec<Agent>,
    /// The number of the deploy that somebody means; with none, there is none.
    pub(crate) meant: Option<i64>,
    /// How somebody said it, each time.
    pub(crate) finds: Vec<find_deploy_request::By>,
    /// How many finds still see the deploy before the latest as the latest.
    pub(crate) stale_finds: u32,
    /// What is told of each deploy, on one page.
    pub(crate) listed: Vec<RollbackDeployPreview>,
    /// The last page of those that was asked for.
    pub(crate) listed_page: Option<PreviewRollbackDeploysRequest>,
    /// How many reads of the Deployment still see the deploy before the latest as the latest.
    pub(crate) stale_reads: u32,
}

impl FakeRegistry {
    pub(crate) async fn serve(&self) -> SocketAddr {
        serve(tonic::service::Routes::new(
            DeployRegistryServiceServer::new(self.clone()),
        ))
        .await
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The next deploy of a Deployment. Every rollback in these tests begins after deploy 5.
    fn write(&self, rollback: &str) -> Result<Deploy, Status> {
        let mut state = self.state();
        state.deploys.entry(rollback.to_owned()).or_insert(6);
        drop(state);
        Ok(self.deploy(rollback).unwrap())
    }

    fn deploy(&self, rollback: &str) -> Option<Deploy> {
        let number = *self.state().deploys.get(rollback)?;
        let roll_out = self.state().roll_out;
        let (state, reason) = roll_out.unwrap_or((DeployState::Deployed, ""));
        let origin = RollbackOrigin {
            rollback: rollback.to_owned(),
            ..Default::default()
        };
        Some(Deploy {
            number,
            rollback: Some(origin),
            state: state.into(),
            state_reason: reason.to_owned(),
            ..Default::default()
        })
    }

    /// The rollback that made a deploy. Each Deployment has at most one here.
    fn maker(&self, deploy: &str) -> Option<String> {
        let (deployment, number) = deploy.split_once("/deploys/")?;
        let of = format!("{deployment}/rollbacks/");
        let state = self.state();
        let made = |(rollback, made): &(&String, &i64)| {
            rollback.starts_with(&of) && made.to_string() == number
        };
        let (rollback, _) = state.deploys.iter().find(made)?;
        Some(rollback.clone())
    }

    async fn perform<T>(
        act: Act,
        obey: impl FnOnce() -> Result<T, Status>,
    ) -> Result<Response<T>, Status> {
        match act {
            Act::Obey => obey().map(Response::new),
            Act::ObeyAndLoseTheAnswer => {
                obey()?;
                Err(Status::unavailable("the connection broke"))
            }
            Act::Fail(status) => Err(status),
            Act::Hang => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl DeployRegistryService for FakeRegistry {
    async fn create_rollback_deploy(
        &self,
        request: Request<CreateRollbackDeployRequest>,
    ) -> Result<Response<CreateRollbackDeployResponse>, Status> {
        let request = request.into_inner();
        if request.validate_only {
            let mut state = self.state();
            state.previews += 1;
            state.previewed = Some(request);
            return Ok(Response::new(state.preview.clone()));
        }
        let act = {
            let mut state = self.state();
            state.permits.push(request.permit.clone());
            state.written = Some(request.clone());
            state.asked.insert(request.rollback.clone());
            if state.closed.contains(&request.rollback) {
                return Err(closed());
            }
            let every = state.every_write.clone();
            state.writes.pop_front().or(every).unwrap_or(Act::Obey)
        };
        let rollback = request.rollback;
        Self::perform(act, || {
            let deploy = Some(self.write(&rollback)?);
            Ok(CreateRollbackDeployResponse {
                deploy,
                ..Default::default()
            })
        })
        .await
    }

    async fn close_rollback(
        &self,
        request: Request<CloseRollbackRequest>,
    ) -> Result<Response<CloseRollbackResponse>, Status> {
        let CloseRollbackRequest { rollback } = request.into_inner();
        let act = {
            let mut state = self.state();
            state.close_calls += 1;
            let every = state.every_close.clone();
            state.closes.pop_front().or(every).unwrap_or(Act::Obey)
        };
        Self::perform(act, || {
            let deploy = self.deploy(&rollback);
            if deploy.is_none() {
                self.state().closed.insert(rollback.clone());
            }
            Ok(CloseRollbackResponse { deploy })
        })
        .await
    }

    async fn get_deployment(
        &self,
        request: Request<GetDeploymentRequest>,
    ) -> Result<Response<GetDeploymentResponse>, Status> {
        let name = request.into_inner().name;
        let mut state = self.state();
        let mut deployment = state
            .deployment
            .clone()
            .filter(|found| found.name == name)
            .ok_or_else(|| refusal(Code::NotFound, ErrorReason::ResourceNotFound))?;
        if state.stale_reads > 0 {
            state.stale_reads -= 1;
            deployment.latest_deploy = format!("{name}/deploys/4");
        }
        let deployment = Some(deployment);
        Ok(Response::new(GetDeploymentResponse { deployment }))
    }

    async fn get_deploy(
        &self,
        request: Request<GetDeployRequest>,
    ) -> Result<Response<GetDeployResponse>, Status> {
        let name = request.into_inner().name;
        let missing = || refusal(Code::NotFound, ErrorReason::ResourceNotFound);
        if let Some(rollback) = self.maker(&name) {
            let act = {
                let mut state = self.state();
                state.look_calls += 1;
                let every = state.every_look.clone();
                state.looks.pop_front().or(every).unwrap_or(Act::Obey)
            };
            let deploy = self.deploy(&rollback);
            return Self::perform(act, || Ok(GetDeployResponse { deploy })).await;
        }
        let deploy = self.state().history.get(&name).cloned();
        Ok(Response::new(GetDeployResponse {
            deploy: Some(deploy.ok_or_else(missing)?),
        }))
    }

    async fn list_deploys(
        &self,
        request: Request<ListDeploysRequest>,
    ) -> Result<Response<ListDeploysResponse>, Status> {
        let ListDeploysRequest {
            parent: _,
            page_size,
            page_token,
            filter: _,
        } = request.into_inner();
        let mut state = self.state();
        state.pages += 1;
        let size = usize::try_from(page_size).unwrap();
        let size = size.min(state.longest_page.unwrap_or(size));
        let before = page_token.parse().unwrap_or(i64::MAX);
        let mut deploys = state.history.values().cloned().collect::<Vec<_>>();
        deploys.retain(|deploy| deploy.number < before);
        deploys.sort_by_key(|deploy| std::cmp::Reverse(deploy.number));
        let more = deploys.len() > size;
        deploys.truncate(size);
        let last = deploys.last().filter(|_| more);
        Ok(Response::new(ListDeploysResponse {
            next_page_token: last.map_or_else(String::new, |last| last.number.to_string()),
            deploys,
        }))
    }

    async fn find_deploy(
        &self,
        request: Request<FindDeployRequest>,
    ) -> Result<Response<FindDeployResponse>, Status> {
        let FindDeployRequest { parent, by } = request.into_inner();
        let mut state = self.state();
        state.finds.extend(by);
        let missing = || refusal(Code::FailedPrecondition, ErrorReason::TargetNotFound);
        let number = state.meant.ok_or_else(missing)?;
        let name = |number: i64| format!("{parent}/deploys/{number}");
        let deployment = state.deployment.clone().unwrap();
        let mut latest_deploy = deployment.latest_deploy;
        if state.stale_finds > 0 {
            state.stale_finds -= 1;
            latest_deploy = name(4);
        }
        Ok(Response::new(FindDeployResponse {
            deploy: state.history.get(&name(number)).cloned(),
            latest_deploy,
            current_deploy: deployment.current_deploy,
        }))
    }

    async fn preview_rollback_deploys(
        &self,
        request: Request<PreviewRollbackDeploysRequest>,
    ) -> Result<Response<PreviewRollbackDeploysResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.state();
        let next_page_token = match request.page_token.as_str() {
            "" => "more",
            "more" => "",
            _ => return Err(refusal(Code::InvalidArgument, ErrorReason::InvalidFields)),
        };
        state.listed_page = Some(request);
        Ok(Response::new(PreviewRollbackDeploysResponse {
            previews: state.listed.clone(),
            next_page_token: next_page_token.to_owned(),
            deployment: state.deployment.clone(),
        }))
    }

    async fn list_agents(
        &self,
        _request: Request<ListAgentsRequest>,
    ) -> Result<Response<ListAgentsResponse>, Status> {
        Ok(Response::new(ListAgentsResponse {
            agents: self.state().agents.clone(),
            next_page_token: String::new(),
        }))
    }
}

fn closed() -> Status {
    refusal(Code::FailedPrecondition, ErrorReason::RollbackClosed)
}
