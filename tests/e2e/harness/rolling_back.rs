use proto::rollback::v1::{
    CancelRollbackRequest, CancelRollbackResponse, CreateRollbackRequest, CreateRollbackResponse,
    Rollback,
};
use tokio::task::JoinHandle;
use tonic::{Code, Response, Status};

use super::refusal::{Refusal, done, refused};
use super::{Person, until};

/// A call of CreateRollback that goes on while the case does.
pub(crate) struct RollingBack(JoinHandle<Result<Response<CreateRollbackResponse>, Status>>);

impl Person {
    pub(crate) fn start_rollback(&self, request: &CreateRollbackRequest) -> RollingBack {
        let mut orchestrator = self.orchestrator();
        let request = request.clone();
        RollingBack(tokio::spawn(async move {
            orchestrator.create_rollback(request).await
        }))
    }

    /// Asks to cancel a rollback, and waits for the answer.
    pub(crate) async fn cancel(
        &self,
        rollback: &str,
    ) -> Result<Response<CancelRollbackResponse>, Status> {
        let name = rollback.to_owned();
        let request = CancelRollbackRequest { name };
        self.orchestrator().cancel_rollback(request).await
    }

    /// Repeats a request until the orchestrator has finished what it accepted.
    pub(crate) async fn roll_back_again(&self, request: &CreateRollbackRequest) -> Rollback {
        self.roll_back_unless(request, "ROLLBACK_UNFINISHED").await
    }

    /// Repeats a request until no other rollback is in the way.
    pub(crate) async fn roll_back_after_others(&self, request: &CreateRollbackRequest) -> Rollback {
        self.roll_back_unless(request, "ROLLBACK_IN_PROGRESS").await
    }

    /// The name of what a request was accepted as, while that is not finished.
    pub(crate) async fn accepted_name(&self, request: &CreateRollbackRequest) -> String {
        let trial = CreateRollbackRequest {
            validate_only: true,
            ..request.clone()
        };
        let refusal = refused(self.orchestrator().create_rollback(trial).await);
        let refusal = refusal.is(Code::Unavailable, "ROLLBACK_UNFINISHED");
        refusal.about("rollback").to_owned()
    }

    async fn roll_back_unless(&self, request: &CreateRollbackRequest, reason: &str) -> Rollback {
        until("the rollback to be done", async || {
            let repeated = self.orchestrator().create_rollback(request.clone()).await;
            match repeated {
                Err(status) if Refusal::of(&status).reason == reason => None,
                outcome => Some(done(outcome).rollback.unwrap()),
            }
        })
        .await
    }
}

impl RollingBack {
    pub(crate) async fn outcome(self) -> Result<Response<CreateRollbackResponse>, Status> {
        self.0.await.unwrap()
    }

    /// Goes away, as a client that has no patience.
    pub(crate) async fn cancel(self) {
        self.0.abort();
        assert!(self.0.await.unwrap_err().is_cancelled());
    }
}
