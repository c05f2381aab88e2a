//! The RPCs together, on both databases, by the identities that tokens give.

mod apply_policy;
mod changed_roles;
mod checks;
mod decisions;
mod escalation;
mod grants;
mod others;
mod permits;
mod policy_changes;
mod role_bindings;
mod roles;
mod service_accounts;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chassis::environment::Environment;
use chassis::identity::{
    Caller, Keyring, LOCAL_ISSUER, ServiceTokens, TokenVerifier, mint_user_token,
};
use chassis::problem::reason_of;
use chassis::testing::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use model::names::{PrincipalId, RoleBindingId, ServiceName};
use proto::authorization::v1 as pb;
use proto::authorization::v1::authorization_service_server::AuthorizationService;
use proto::common::v1::ErrorReason;
use tempfile::TempDir;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::Authorization;
use crate::decision_log::{self, SampleRate};
use crate::policy::Policy;
use crate::store::Store;

/// One replica, and the keys of everybody who calls it.
struct House {
    service: Authorization,
    keyring: Keyring,
    environment: Environment,
    clock: Arc<AtomicI64>,
    folder: Arc<TempDir>,
}

impl House {
    async fn new(db: &TestDatabase) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let clock = Arc::new(AtomicI64::new(1_700_000_000_123_456));
        let micros = Arc::clone(&clock);
        let environment = Environment::with_clock(move || {
            DateTime::from_timestamp_micros(micros.load(Ordering::SeqCst)).unwrap()
        });
        let keyring = Keyring::init(folder.path(), &environment).unwrap();
        let store = Store::new(db.database.clone());
        let binding = RoleBindingId::new(environment.new_uuid());
        store
            .bootstrap(&"admin".parse().unwrap(), binding, environment.now())
            .await
            .unwrap();
        Self::of(db, keyring, environment, clock, folder).await
    }

    /// Another replica over the same database and keys.
    async fn replica(&self, db: &TestDatabase) -> Self {
        let (keyring, environment) = (self.keyring.clone(), self.environment.clone());
        Self::of(
            db,
            keyring,
            environment,
            Arc::clone(&self.clock),
            Arc::clone(&self.folder),
        )
        .await
    }

    async fn of(
        db: &TestDatabase,
        keyring: Keyring,
        environment: Environment,
        clock: Arc<AtomicI64>,
        folder: Arc<TempDir>,
    ) -> Self {
        let store = Store::new(db.database.clone());
        let policy = Policy::load(store.clone(), environment.clone())
            .await
            .unwrap();
        let trust = keyring.trust().unwrap();
        let verifier = TokenVerifier::new(trust, ServiceName::Authorization, environment.clone());
        let (decisions, writer) = decision_log::open(SampleRate::default());
        tokio::spawn(writer.run(std::future::pending()));
        let service = Authorization {
            store,
            policy: Arc::new(policy),
            verifier: Arc::new(verifier),
            signing: keyring.signing_folder(environment.clone()).unwrap(),
            decisions,
            token_uses: Arc::default(),
            environment: environment.clone(),
        };
        Self {
            service,
            keyring,
            environment,
            clock,
            folder,
        }
    }

    fn pass(&self, time: TimeDelta) {
        self.clock
            .fetch_add(time.num_microseconds().unwrap(), Ordering::SeqCst);
    }

    fn now(&self) -> DateTime<Utc> {
        self.environment.now()
    }

    fn user_token(&self, id: &str, groups: &[&str]) -> String {
        let groups = groups
            .iter()
            .map(|group| group.parse::<PrincipalId>().unwrap())
            .collect::<Vec<_>>();
        mint_user_token(
            &self.keyring.local_issuer().unwrap(),
            LOCAL_ISSUER,
            &id.parse().unwrap(),
            &groups,
            TimeDelta::hours(24),
            &self.environment,
        )
        .unwrap()
    }

    fn service_token(&self, service: ServiceName) -> String {
        let key = self.keyring.service_key(service).unwrap();
        let tokens = ServiceTokens::new(service, key, self.environment.clone());
        tokens
            .token(ServiceName::Authorization)
            .unwrap()
            .to_string()
    }

    fn caller(&self, token: &str) -> Caller {
        self.service.verifier.verify(token).unwrap()
    }

    fn request<T>(&self, token: &str, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(self.caller(token));
        request
    }

    fn as_user<T>(&self, id: &str, message: T) -> Request<T> {
        self.request(&self.user_token(id, &[]), message)
    }

    fn as_orchestrator<T>(&self, message: T) -> Request<T> {
        self.request(
            &self.service_token(ServiceName::RollbackOrchestrator),
            message,
        )
    }

    /// As the administrator.
    async fn bind(&self, principal: &str, role: &str, parent: &str) -> pb::RoleBinding {
        let request = self.as_user("admin", binding(principal, role, parent));
        let response = self.service.create_role_binding(request).await.unwrap();
        response.into_inner().role_binding.unwrap()
    }

    /// As the administrator. Returns the new policy revision.
    async fn unbind(&self, name: &str) -> i64 {
        let name = name.to_owned();
        let message = pb::DeleteRoleBindingRequest {
            name,
            ..Default::default()
        };
        let request = self.as_user("admin", message);
        self.service
            .delete_role_binding(request)
            .await
            .unwrap()
            .into_inner()
            .policy_revision
    }

    /// As the administrator.
    async fn create_role(&self, parent: &str, id: &str, permissions: &[&str]) -> pb::Role {
        let request = self.as_user("admin", role(parent, id, permissions));
        self.service
            .create_role(request)
            .await
            .unwrap()
            .into_inner()
            .role
            .unwrap()
    }
}

fn binding(principal: &str, role: &str, parent: &str) -> pb::CreateRoleBindingRequest {
    pb::CreateRoleBindingRequest {
        parent: parent.to_owned(),
        role_binding: Some(pb::RoleBinding {
            principal: principal.to_owned(),
            role: role.to_owned(),
            ..Default::default()
        }),
        request_id: String::new(),
        reason: String::new(),
    }
}

fn role(parent: &str, id: &str, permissions: &[&str]) -> pb::CreateRoleRequest {
    pb::CreateRoleRequest {
        parent: parent.to_owned(),
        role_id: id.to_owned(),
        role: Some(pb::Role {
            permissions: permissions.iter().map(|text| (*text).to_owned()).collect(),
            ..Default::default()
        }),
        request_id: String::new(),
        reason: String::new(),
    }
}

fn check(permission: &str, resource: &str) -> pb::CheckPermissionRequest {
    pb::CheckPermissionRequest {
        permission: permission.to_owned(),
        resource: resource.to_owned(),
        ..Default::default()
    }
}

fn fully_consistent() -> Option<pb::Consistency> {
    let requirement = pb::consistency::Requirement::FullyConsistent(true);
    Some(pb::Consistency {
        requirement: Some(requirement),
    })
}

const CODES: [(ErrorReason, Code); 14] = [
    (ErrorReason::LimitExceeded, Code::ResourceExhausted),
    (ErrorReason::Unauthenticated, Code::Unauthenticated),
    (ErrorReason::PermissionMissing, Code::PermissionDenied),
    (
        ErrorReason::GrantExceedsOwnPermissions,
        Code::PermissionDenied,
    ),
    (ErrorReason::ResourceNotFound, Code::NotFound),
    (ErrorReason::ResourceAlreadyExists, Code::AlreadyExists),
    (ErrorReason::InvalidFields, Code::InvalidArgument),
    (ErrorReason::RequestIdReused, Code::InvalidArgument),
    (ErrorReason::LastAdministrator, Code::FailedPrecondition),
    (ErrorReason::EtagMismatch, Code::Aborted),
    (ErrorReason::RoleBound, Code::FailedPrecondition),
    (ErrorReason::RoleBuiltIn, Code::FailedPrecondition),
    (ErrorReason::RoleTooWide, Code::FailedPrecondition),
    (ErrorReason::DependencyUnavailable, Code::Unavailable),
];

/// The reason of an error, whose code must be the one that the catalogue says.
fn reason(status: &Status) -> ErrorReason {
    let reason = reason_of(status).unwrap();
    assert!(CODES.contains(&(reason, status.code())), "{status:?}");
    reason
}

/// The fields that a `BadRequest` names.
fn fields(status: &Status) -> Vec<String> {
    assert_eq!(reason(status), ErrorReason::InvalidFields);
    let violations = status.get_details_bad_request().unwrap().field_violations;
    violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

/// An entry of the metadata of the `ErrorInfo`.
fn metadata(status: &Status, key: &str) -> String {
    status
        .get_details_error_info()
        .unwrap()
        .metadata
        .remove(key)
        .unwrap()
}
