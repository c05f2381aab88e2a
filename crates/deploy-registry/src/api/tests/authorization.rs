//! A stand-in for the authorization service.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use model::{Permission, PermissionSet};
use proto::authorization::v1 as pb;
use proto::authorization::v1::authorization_service_server::{
    AuthorizationService, AuthorizationServiceServer,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Answers checks until it is dropped.
pub(super) struct Authorization {
    pub(super) address: String,
    policy: Arc<Mutex<Policy>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Policy {
    people: HashMap<String, String>,
    grants: Vec<(String, String, PermissionSet)>,
    /// How many calls were answered.
    calls: usize,
    stopped: bool,
}

impl Authorization {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let policy = Arc::<Mutex<Policy>>::default();
        let server = tonic::transport::Server::builder()
            .add_service(AuthorizationServiceServer::new(Checks(policy.clone())))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move { server.await.unwrap() });
        Self {
            address,
            policy,
            task,
        }
    }

    /// Says whose token this is.
    pub(super) fn introduce(&self, token: &str, who: &str) {
        let mut policy = self.policy.lock().unwrap();
        policy.people.insert(token.to_owned(), who.to_owned());
    }

    pub(super) fn grant(&self, who: &str, resource: &str, permissions: PermissionSet) {
        let mut policy = self.policy.lock().unwrap();
        policy
            .grants
            .push((who.to_owned(), resource.to_owned(), permissions));
    }

    /// Takes away all that somebody was granted.
    pub(super) fn revoke(&self, who: &str) {
        let mut policy = self.policy.lock().unwrap();
        policy.grants.retain(|(holder, _, _)| holder != who);
    }

    pub(super) fn calls(&self) -> usize {
        self.policy.lock().unwrap().calls
    }

    /// From now on there is no answer.
    pub(super) fn stop(&self) {
        self.policy.lock().unwrap().stopped = true;
    }
}

impl Drop for Authorization {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Checks(Arc<Mutex<Policy>>);

impl Policy {
    fn allows(&self, token: &str, question: &pb::PermissionQuestion) -> bool {
        let permission = question.permission.parse::<Permission>().unwrap();
        let who = self.people.get(token).unwrap();
        self.grants.iter().any(|(person, resource, permissions)| {
            let below = question.resource.starts_with(&format!("{resource}/"));
            person == who
                && (below || question.resource == *resource)
                && permissions.contains(permission)
        })
    }
}

#[rustfmt::skip]
#[tonic::async_trait]
impl AuthorizationService for Checks {
    async fn batch_check_permissions(&self, request: Request<pb::BatchCheckPermissionsRequest>) -> Result<Response<pb::BatchCheckPermissionsResponse>, Status> {
        let request = request.into_inner();
        let mut policy = self.0.lock().unwrap();
        policy.calls += 1;
        if policy.stopped {
            return Err(Status::unavailable("stopped"));
        }
        let decide = |question| {
            let decision = pb::Decision { allowed: policy.allows(&request.subject_token, question), ..Default::default() };
            pb::PermissionResult { result: Some(pb::permission_result::Result::Decision(decision)) }
        };
        let results = request.questions.iter().map(decide).collect();
        Ok(Response::new(pb::BatchCheckPermissionsResponse { results, ..Default::default() }))
    }
}
