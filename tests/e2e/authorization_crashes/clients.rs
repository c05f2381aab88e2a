use prost_types::Timestamp;
use proto::authorization::v1::{
    CreateRoleBindingRequest, CreateRoleRequest, CreateServiceAccountTokenRequest,
    DeleteRoleBindingRequest, DeleteRoleRequest, RevokeServiceAccountTokenRequest, RoleBinding,
    ServiceAccountToken,
};
use tonic::{Code, Status};

use super::ledger::{Answer, Call, Work};
use crate::harness::crashing::{Book, said};
use crate::harness::orders::WORKSPACE;
use crate::harness::requests::{self, patient};
use crate::harness::{DEPLOYMENT, Person, Refusal, until};

/// What every role holds that is created.
const PERMISSIONS: [&str; 2] = ["deployment.dags.push", "deployment.config.get"];
/// In seconds.
const TOKEN_LIFETIME: i64 = 86_400;

/// Makes a call. Whoever gets no answer repeats it until there is one, or goes on without.
async fn make(admin: &Person, book: &Book, work: Work, repeats: bool) -> Call {
    let mut call = Call {
        work,
        request_id: book.new_request_id(),
        answer: None,
    };
    book.begin();
    call.answer = call.send(admin, false).await;
    if call.answer.is_none() && repeats {
        let answer = until("an answer", async || call.send(admin, true).await).await;
        call.answer = Some(answer);
    }
    call
}

/// Creates roles and binds them, and makes tokens; takes the half of it away again.
pub(super) async fn work(client: usize, admin: &Person, book: &Book) -> Vec<Call> {
    let mut calls = Vec::new();
    for turn in 0.. {
        if book.closed() {
            break;
        }
        let resource = [WORKSPACE, DEPLOYMENT][turn / 2 % 2];
        let name = format!("{resource}/roles/r{client}-{turn}");
        let mut call = async |work: Work| {
            let call = make(admin, book, work, turn % 3 > 0).await;
            let name = call.answer.as_ref().map(|answer| answer.name.clone());
            calls.push(call);
            name
        };
        if turn % 4 == 3 {
            let make = Work::MakeToken {
                account: format!("{WORKSPACE}/serviceAccounts/a{client}"),
                description: turn.to_string(),
                expire_time: book.now() + TOKEN_LIFETIME,
            };
            if let Some(token) = call(make).await
                && turn % 8 == 3
            {
                call(Work::Revoke { token }).await;
            }
            continue;
        }
        let Some(role) = call(Work::CreateRole { name }).await else {
            continue;
        };
        let bind = Work::Bind {
            resource: resource.to_owned(),
            principal: format!("user:u{client}-{turn}"),
            role: role.clone(),
        };
        let Some(binding) = call(bind).await else {
            continue;
        };
        let goes = turn % 2 == 0;
        if goes && call(Work::Unbind { binding }).await.is_some() {
            call(Work::DeleteRole { name: role }).await;
        }
    }
    calls
}

impl Call {
    /// Sends it, and returns the answer unless it was lost.
    async fn send(&self, admin: &Person, repeated: bool) -> Option<Answer> {
        match self.try_send(admin, repeated).await {
            Ok(answer) => Some(answer),
            Err(status) => {
                if let Some(refusal) = said(&status) {
                    panic!("{:?}: {refusal}", self.work);
                }
                None
            }
        }
    }

    /// Sends it once more, now that nothing is killed: it is answered as it was, or for the first
    /// time. What was made and deleted since is not made again.
    pub(super) async fn repeat(&mut self, admin: &Person) {
        match (self.try_send(admin, true).await, &self.answer) {
            (Ok(again), Some(answer)) => assert_eq!(again.name, answer.name),
            (Ok(answer), None) => self.answer = Some(answer),
            (Err(status), Some(_)) if status.code() == Code::NotFound => {}
            (Err(status), _) => panic!("{:?}: {}", self.work, Refusal::of(&status)),
        }
    }

    async fn try_send(&self, admin: &Person, repeated: bool) -> Result<Answer, Status> {
        let mut authorization = admin.authorization();
        let request_id = self.request_id.clone();
        let (name, revision) = match self.work.clone() {
            Work::CreateRole { name } => {
                let (parent, id) = name.rsplit_once("/roles/").unwrap();
                let request = patient(CreateRoleRequest {
                    parent: parent.to_owned(),
                    role_id: id.to_owned(),
                    role: Some(requests::role(&PERMISSIONS)),
                    request_id,
                    ..CreateRoleRequest::default()
                });
                let created = authorization.create_role(request).await?.into_inner();
                (created.role.unwrap().name, Some(created.policy_revision))
            }
            Work::DeleteRole { name } => {
                let request = patient(DeleteRoleRequest {
                    name: name.clone(),
                    request_id,
                    ..DeleteRoleRequest::default()
                });
                let deleted = authorization.delete_role(request).await?.into_inner();
                (name, Some(deleted.policy_revision))
            }
            Work::Bind {
                resource,
                principal,
                role,
            } => {
                let request = patient(CreateRoleBindingRequest {
                    parent: resource,
                    role_binding: Some(RoleBinding {
                        principal,
                        role,
                        ..RoleBinding::default()
                    }),
                    request_id,
                    ..CreateRoleBindingRequest::default()
                });
                let bound = authorization.create_role_binding(request).await?;
                let bound = bound.into_inner();
                (
                    bound.role_binding.unwrap().name,
                    Some(bound.policy_revision),
                )
            }
            Work::Unbind { binding } => {
                let request = patient(DeleteRoleBindingRequest {
                    name: binding.clone(),
                    request_id,
                    ..DeleteRoleBindingRequest::default()
                });
                let deleted = authorization.delete_role_binding(request).await?;
                (binding, Some(deleted.into_inner().policy_revision))
            }
            Work::MakeToken {
                account,
                description,
                expire_time,
            } => {
                let request = patient(CreateServiceAccountTokenRequest {
                    parent: account,
                    service_account_token: Some(ServiceAccountToken {
                        description,
                        expire_time: Some(Timestamp {
                            seconds: expire_time,
                            nanos: 0,
                        }),
                        ..ServiceAccountToken::default()
                    }),
                    request_id,
                });
                let made = authorization.create_service_account_token(request).await?;
                (made.into_inner().service_account_token.unwrap().name, None)
            }
            Work::Revoke { token } => {
                let request = patient(RevokeServiceAccountTokenRequest {
                    name: token.clone(),
                    ..RevokeServiceAccountTokenRequest::default()
                });
                let revoked = authorization.revoke_service_account_token(request).await?;
                (token, Some(revoked.into_inner().policy_revision))
            }
        };
        Ok(Answer {
            name,
            revision,
            repeated,
        })
    }
}
