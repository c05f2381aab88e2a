//! An authorization service that does as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use chassis::convert::timestamp;
use chassis::environment::Environment;
use chrono::TimeDelta;
use model::permissions::PermissionSet;
use proto::authorization::v1::authorization_service_server::{
    AuthorizationService, AuthorizationServiceServer,
};
use proto::authorization::v1::issue_permit_request::Authority;
use proto::authorization::v1::permission_result::Result as Answer;
use proto::authorization::v1::*;
use tonic::{Request, Response, Status};

use super::serve;

/// An authorization service for tests. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct FakeAuthorization(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    /// What everybody holds on everything.
    pub(crate) held: PermissionSet,
    /// Every check fails with this.
    pub(crate) check_error: Option<Status>,
    /// The next permits fail with these; after that they are given.
    pub(crate) permit_errors: VecDeque<Status>,
    /// No permit is answered.
    pub(crate) hangs: bool,
    /// Every renewal fails with this.
    pub(crate) renewal_error: Option<Status>,
    /// How often permission was checked.
    pub(crate) checks: u32,
    /// The last request for a person's first permit.
    pub(crate) first: Option<IssuePermitRequest>,
    pub(crate) first_permits: u32,
    pub(crate) renewals: u32,
}

impl FakeAuthorization {
    pub(crate) async fn serve(&self) -> SocketAddr {
        serve(tonic::service::Routes::new(
            AuthorizationServiceServer::new(self.clone()),
        ))
        .await
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

#[tonic::async_trait]
impl AuthorizationService for FakeAuthorization {
    async fn batch_check_permissions(
        &self,
        request: Request<BatchCheckPermissionsRequest>,
    ) -> Result<Response<BatchCheckPermissionsResponse>, Status> {
        let mut state = self.state();
        state.checks += 1;
        if let Some(error) = state.check_error.clone() {
            return Err(error);
        }
        let questions = request.into_inner().questions.into_iter();
        let results = questions.map(
            |PermissionQuestion {
                 permission,
                 resource: _,
             }| {
                let allowed = state.held.contains(permission.parse().unwrap());
                let decision = Decision {
                    allowed,
                    ..Default::default()
                };
                PermissionResult {
                    result: Some(Answer::Decision(decision)),
                }
            },
        );
        let results = results.collect();
        Ok(Response::new(BatchCheckPermissionsResponse {
            results,
            ..Default::default()
        }))
    }

    async fn issue_permit(
        &self,
        request: Request<IssuePermitRequest>,
    ) -> Result<Response<IssuePermitResponse>, Status> {
        let request = request.into_inner();
        let hangs = self.state().hangs;
        if hangs {
            std::future::pending::<()>().await;
        }
        let mut state = self.state();
        if let Some(error) = state.permit_errors.pop_front() {
            return Err(error);
        }
        let permit = match request.authority.as_ref().unwrap() {
            Authority::SubjectToken(_) => {
                state.first_permits += 1;
                let permit = format!("first {}", state.first_permits);
                state.first = Some(request);
                permit
            }
            Authority::Grant(_) => {
                if let Some(error) = state.renewal_error.clone() {
                    return Err(error);
                }
                state.renewals += 1;
                format!("renewed {}", state.renewals)
            }
        };
        let now = Environment::system().now();
        Ok(Response::new(IssuePermitResponse {
            permit,
            grant_expire_time: Some(timestamp(now + TimeDelta::hours(1))),
            ..Default::default()
        }))
    }
}
