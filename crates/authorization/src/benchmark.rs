//! What the benchmarks need of what is private. No API: it is there with the feature `benchmark` only.
#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has failed"
)]

use chassis::database::{Database, Migrations};
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::names::{Principal, ResourceName, RoleBindingId};
use model::permissions::{Permission, PermissionSet};
use uuid::Uuid;

use crate::domain::decision::Decision;
use crate::domain::index::{BindingRow, Index, PolicyRows, RoleRow};
use crate::domain::policy::PolicyRevision;
use crate::domain::subject::Subject;
use crate::store::{Error, MIGRATIONS, Store};

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
const USERS: usize = 9_800;
const GROUPS: usize = 200;
const DEPLOYMENTS: usize = 1_000;
const WORKSPACES: usize = 50;
const CUSTOM_ROLES: usize = 1_000;
const BINDINGS: usize = 40_000;

/// The whole policy of a large installation, as it is stored.
#[derive(Clone)]
pub struct Rows(PolicyRows);

impl Rows {
    /// 10,000 principals, of which 200 are groups, 1,000 Deployments in 50 workspaces, 1,000 custom
    /// roles of the system, and 40,000 bindings: one in eight on a workspace, one in eight of a group.
    pub fn large() -> Self {
        let workspace = |number: usize| format!("workspaces/workspace-{}", number % WORKSPACES);
        let deployment =
            |number: usize| format!("{}/deployments/deployment-{number}", workspace(number));
        let custom = |number: usize| format!("roles/custom-role-{number}");
        let bindings = (0..BINDINGS).map(|number| {
            // Two walks, so that no principal has the same role on the same resource twice.
            let step = number * 7_919 + number / 8;
            let other_step = number * 7_919 / 64 + number;
            let resource = match number % 8 {
                7 => workspace(other_step),
                _ => deployment(other_step % DEPLOYMENTS),
            };
            let principal = match number % 8 {
                2 => format!("group:group-{}@example.com", step % GROUPS),
                _ => format!("user:user-{}@example.com", step % USERS),
            };
            let role = match number % 4 {
                0 => "roles/DEPLOYMENT_VIEWER".to_owned(),
                1 => "roles/DEPLOYMENT_EDITOR".to_owned(),
                2 => "roles/DEPLOYMENT_ADMIN".to_owned(),
                _ => custom(other_step % CUSTOM_ROLES),
            };
            // Ids are random, and so is the order in which they sort.
            let id = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            BindingRow {
                id: RoleBindingId::new(Uuid::from_u128(id)),
                resource,
                principal,
                role,
                expire_time: None,
            }
        });
        let roles = (0..CUSTOM_ROLES).map(|number| RoleRow {
            name: custom(number),
            permissions: Some(vec!["deployment.logs.get".to_owned()]),
        });
        Self(PolicyRows {
            revision: PolicyRevision(1),
            built_in_role_changes: Vec::new(),
            roles: roles.collect(),
            bindings: bindings.collect(),
            revoked: Vec::new(),
        })
    }

    pub fn build(self) -> Policy {
        Policy(Index::build(self.0).0)
    }

    /// Writes all of it into an empty database.
    pub async fn store(self, database: &Database) -> Reader {
        let Self(PolicyRows {
            revision,
            built_in_role_changes: _,
            roles: _,
            bindings,
            revoked: _,
        }) = self;
        let written: Result<(), Error> = transaction!(*database, |tx| {
            let sql = "INSERT INTO policy (singleton, revision) VALUES (1, $1)";
            tx.execute(sql, args![revision.0]).await?;
            for binding in &bindings {
                tx.execute(
                    "INSERT INTO role_bindings
                         (id, resource, principal, role, created_by, create_time)
                     VALUES ($1, $2, $3, $4, 'user:admin', 0)",
                    args![
                        binding.id.get(),
                        &binding.resource,
                        &binding.principal,
                        &binding.role
                    ],
                )
                .await?;
            }
            Ok(())
        });
        written.expect("an empty database takes everything");
        Reader(Store::new(database.clone()))
    }
}

/// The tables of the service.
pub const TABLES: &Migrations = &MIGRATIONS;

/// Reads the whole policy from a database.
pub struct Reader(Store);

impl Reader {
    pub async fn read(&self) -> Rows {
        Rows(self.0.policy(NOW).await.expect("the policy can be read"))
    }
}

/// The whole policy in memory.
pub struct Policy(Index);

impl Policy {
    /// Whether each permission is held.
    pub fn check(&self, person: &Person, questions: &[(Permission, ResourceName)]) -> usize {
        let standing = self.0.standing(&person.0, NOW);
        let allowed = questions.iter().filter(|(permission, resource)| {
            match standing.decide(*permission, resource) {
                Decision::Allowed(_) => true,
                Decision::Denied(_) => false,
            }
        });
        allowed.count()
    }
}

/// Somebody who asks.
pub struct Person(Subject);

impl Person {
    pub fn new(principal: &str, groups: &[&str]) -> Self {
        let parse = |text: &str| text.parse::<Principal>().expect("a principal");
        Self(Subject {
            principal: parse(principal),
            groups: groups.iter().copied().map(parse).collect(),
            service_permissions: PermissionSet::EMPTY,
        })
    }
}
