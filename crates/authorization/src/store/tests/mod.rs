//! Every method of the store, on both databases.

mod apply;
mod grants;
mod limits;
mod policy;
mod policy_changes;
mod requests;
mod role_bindings;
mod roles;
mod service_accounts;
mod tables;
mod worlds;

use chassis::requests::Request;
use chassis::testing::TestDatabase;
use chrono::{DateTime, Utc};
use model::names::{Principal, RequestId, RoleBindingId, RoleBindingName};
use model::permissions::{Permission, PermissionSet};
use proto::authorization::v1::CreateRoleRequest;
use uuid::Uuid;

use super::{ListedBindings, Store};
use crate::domain::policy::{PolicyRevision, Role, RoleBinding};
use crate::domain::policy_change::Author;
use crate::domain::tokens::{ServiceAccountToken, TokenId, TokenName};

const FIRST: PolicyRevision = PolicyRevision(1);

/// A time with microseconds.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap()
}

async fn empty(db: &TestDatabase) -> Store {
    let store = Store::new(db.database.clone());
    let first = RoleBindingId::new(Uuid::from_u128(1));
    assert!(
        store
            .bootstrap(&"admin".parse().unwrap(), first, now())
            .await
            .unwrap()
    );
    store
}

fn role(name: &str) -> Role {
    Role {
        name: name.parse().unwrap(),
        display_name: "Pusher of DAGs".to_owned(),
        description: "line one\nline two".to_owned(),
        permissions: PermissionSet::of(&[
            Permission::DeploymentDagsPush,
            Permission::DeploymentConfigGet,
        ]),
        created_by: "user:admin".parse().unwrap(),
        create_time: now(),
        updated_by: "user:admin".parse().unwrap(),
        update_time: now(),
        managed_by: None,
    }
}

/// Somebody who makes changes.
fn author() -> Author {
    Author {
        principal: "user:admin".parse().unwrap(),
        time: now(),
        reason: "the tests want it".to_owned(),
        managed_by: None,
    }
}

fn binding(id: u128, principal: &str, role: &str, resource: &str) -> RoleBinding {
    RoleBinding {
        name: RoleBindingName::new(
            resource.parse().unwrap(),
            RoleBindingId::new(Uuid::from_u128(id)),
        ),
        principal: principal.parse().unwrap(),
        role: role.parse().unwrap(),
        created_by: "user:admin".parse().unwrap(),
        create_time: now(),
        expire_time: None,
        managed_by: None,
    }
}

/// The bindings on a resource itself.
fn on(resource: &str) -> ListedBindings {
    ListedBindings {
        resource: resource.parse().unwrap(),
        descendants: false,
        principal: None,
    }
}

fn token(id: u128) -> ServiceAccountToken {
    ServiceAccountToken {
        name: TokenName {
            account: "workspaces/w/serviceAccounts/ci".parse().unwrap(),
            id: TokenId(Uuid::from_u128(id)),
        },
        description: "for CI".to_owned(),
        expire_time: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        created_by: "user:admin".parse().unwrap(),
        create_time: now(),
        last_use_time: None,
        revocation: None,
    }
}

/// A request whose body is told by `body`.
fn request(method: &'static str, id: u128, body: &str) -> Request {
    let message = CreateRoleRequest {
        role_id: body.to_owned(),
        ..CreateRoleRequest::default()
    };
    let principal = "user:admin".parse::<Principal>().unwrap();
    let id = Uuid::from_u128(id)
        .to_string()
        .parse::<RequestId>()
        .unwrap();
    Request::new(&principal, method, &"system", id, &message)
}

async fn revision(store: &Store) -> PolicyRevision {
    store.freshness(None).await.unwrap().revision
}
