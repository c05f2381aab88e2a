//! The index against what the tables say, in random worlds that change at random.

use std::collections::BTreeSet;

use chassis::testing::TestDatabase;
use chassis::{args, database, transaction};
use chrono::{DateTime, TimeDelta, Utc};
use model::names::{Principal, ResourceName};
use model::permissions::{Permission, PermissionSet};
use model::roles::SystemRole;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use super::tables::{Binding, PRINCIPALS, RESOURCES, Tables, is_within};
use super::{author, binding, empty, now, revision, role, token};
use crate::domain::decision::{Decision, Granted};
use crate::domain::index::Index;
use crate::domain::policy::Role;
use crate::domain::subject::Subject;
use crate::domain::tokens::TokenId;
use crate::store::{Error, Store};

const CUSTOM_ROLES: [&str; 4] = [
    "roles/r",
    "workspaces/v/roles/r",
    "workspaces/w/roles/r",
    "workspaces/v/deployments/d/roles/r",
];

/// One change of a world.
#[derive(Clone, Debug)]
enum Step {
    /// Creates the role, or changes what it holds.
    Define(&'static str, PermissionSet),
    /// Deletes the role with its bindings.
    Undefine(&'static str),
    /// Binds a role, for ever or for so many seconds.
    Bind {
        principal: &'static str,
        role: String,
        resource: &'static str,
        seconds: Option<i64>,
    },
    /// Deletes one of the bindings that there are.
    Unbind(prop::sample::Index),
    /// Makes a token that expires after so many seconds, revoked or not.
    Token { seconds: i64, revoked: bool },
    /// Changes what a built-in role holds.
    Change {
        role: &'static str,
        permission: String,
        held: bool,
    },
    /// Writes by hand what no method of the store writes.
    Scribble(Binding),
    /// Writes a role by hand.
    ScribbleRole {
        name: &'static str,
        document: &'static str,
    },
}

fn role_names() -> Vec<String> {
    let built_in = SystemRole::ALL.iter().map(|role| format!("roles/{role}"));
    let custom = CUSTOM_ROLES.iter().map(|name| (*name).to_owned());
    built_in.chain(custom).collect()
}

/// Mostly what fits everywhere, now and then anything.
fn permission_sets() -> impl Strategy<Value = PermissionSet> {
    use Permission::*;
    let narrow = prop::sample::select(&[
        DeploymentDagsPush,
        DeploymentImagesPush,
        DeploymentConfigGet,
    ]);
    let any = prop::sample::select(Permission::ALL);
    let sets = prop_oneof![
        4 => prop::collection::vec(narrow, 0..3),
        1 => prop::collection::vec(any, 0..6),
    ];
    sets.prop_map(|permissions| permissions.into_iter().collect())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let select = |texts: &'static [&'static str]| prop::sample::select(texts);
    let custom = || select(&CUSTOM_ROLES);
    let bind = (
        select(&PRINCIPALS),
        prop::sample::select(role_names()),
        select(&RESOURCES),
        prop::option::of(1..5_i64),
    );
    let permission = prop_oneof![
        6 => prop::sample::select(Permission::ALL).prop_map(|permission| permission.to_string()),
        1 => Just("deployment.future.do".to_owned()),
    ];
    let roles = SystemRole::ALL.iter().map(|role| role.as_str());
    let roles = roles.chain(["DEPLOYMENT_GOD"]).collect::<Vec<_>>();
    let change = (prop::sample::select(roles), permission, any::<bool>());
    let scribble = (
        select(&["system", "workspaces/v", "workspaces/V", "cluster", ""]),
        select(&["user:a", "user:", "robot:a", "service:deploy-registry"]),
        select(&["roles/DEPLOYMENT_ADMIN", "roles/GOD", "roles/gone", "r"]),
        prop::option::of(select(&["", "x"]).prop_map(|_| i64::MAX)),
        any::<u128>(),
    );
    let documents = [
        "",
        r#"{"version":2,"permissions":["deployment.dags.push"]}"#,
        r#"{"version":1,"permissions":["deployment.dags.push","deployment.future.do"]}"#,
    ];
    let scribble_role = (
        select(&[
            "roles/r",
            "roles/DEPLOYMENT_AGENT",
            "workspaces/v/roles/R",
            "r",
        ]),
        prop::sample::select(documents.to_vec()),
    );
    let step = prop_oneof![
        3 => (custom(), permission_sets()).prop_map(|(name, held)| Step::Define(name, held)),
        1 => custom().prop_map(Step::Undefine),
        12 => bind.prop_map(|(principal, role, resource, seconds)| Step::Bind {
            principal,
            role,
            resource,
            seconds,
        }),
        2 => any::<prop::sample::Index>().prop_map(Step::Unbind),
        1 => (1..5_i64, any::<bool>())
            .prop_map(|(seconds, revoked)| Step::Token { seconds, revoked }),
        3 => change.prop_map(|(role, permission, held)| Step::Change { role, permission, held }),
        1 => scribble.prop_map(|(resource, principal, role, expire_time, id)| {
            Step::Scribble(Binding {
                id: Uuid::from_u128(id),
                resource: resource.to_owned(),
                principal: principal.to_owned(),
                role: role.to_owned(),
                expire_time,
            })
        }),
        1 => scribble_role
            .prop_map(|(name, document)| Step::ScribbleRole { name, document }),
    ];
    prop::collection::vec(step, 1..40)
}

/// Makes the change by a method of the store, or by hand. One that the store refuses is not made.
async fn make(store: &Store, step: &Step, id: u128) {
    let at = revision(store).await;
    let author = author();
    let made = match step {
        Step::Define(name, permissions) => {
            let wanted = Role {
                permissions: *permissions,
                ..role(name)
            };
            match store.role(&wanted.name).await {
                Ok(Some(before)) => store
                    .update_role(at, &before, &wanted, &author, None)
                    .await
                    .map(drop),
                Ok(None) => store
                    .create_role(at, &wanted, &author, None)
                    .await
                    .map(drop),
                // It was written by hand.
                Err(_) => Ok(()),
            }
        }
        Step::Undefine(name) => {
            let name = name.parse().unwrap();
            store
                .delete_role(at, &name, true, &author, None)
                .await
                .map(drop)
        }
        Step::Bind {
            principal,
            role,
            resource,
            seconds,
        } => {
            let mut wanted = binding(id, principal, role, resource);
            wanted.expire_time = seconds.map(|seconds| now() + TimeDelta::seconds(seconds));
            store
                .create_role_binding(at, &wanted, &author, None)
                .await
                .map(drop)
        }
        Step::Unbind(which) => {
            let rows = store.policy(now()).await.unwrap().bindings;
            let row = which.get(&rows);
            match row.resource.parse() {
                Ok(resource) => {
                    let name = model::names::RoleBindingName::new(resource, row.id);
                    store
                        .delete_role_binding(at, &name, &author, None)
                        .await
                        .map(drop)
                }
                Err(_) => Ok(()),
            }
        }
        Step::Token { seconds, revoked } => {
            let mut made = token(id);
            made.expire_time = now() + TimeDelta::seconds(*seconds);
            store
                .create_service_account_token(at, &made, None)
                .await
                .unwrap();
            if *revoked {
                let revoked = store.revoke_service_account_token(at, &made.name, &author);
                revoked.await.map(drop)
            } else {
                Ok(())
            }
        }
        Step::Change {
            role,
            permission,
            held,
        } => {
            let sql = "INSERT INTO built_in_role_changes (role, permission, held, managed_by)
                       VALUES ($1, $2, $3, 'file') ON CONFLICT DO NOTHING";
            scribble(store, sql, args![*role, permission, *held]).await
        }
        Step::Scribble(row) => {
            let Binding {
                id,
                resource,
                principal,
                role,
                expire_time,
            } = row;
            let sql = "INSERT INTO role_bindings
                           (id, resource, principal, role, created_by, create_time, expire_time)
                       VALUES ($1, $2, $3, $4, '', 0, $5) ON CONFLICT DO NOTHING";
            let row = args![*id, resource, principal, role, *expire_time];
            scribble(store, sql, row).await
        }
        Step::ScribbleRole { name, document } => {
            let sql = "INSERT INTO roles
                           (name, display_name, description, permissions, created_by, create_time)
                       VALUES ($1, '', '', $2, '', 0) ON CONFLICT DO NOTHING";
            scribble(store, sql, args![*name, *document]).await
        }
    };
    match made {
        // What was written by hand cannot be read back, and stays.
        Err(Error::Database(database::Error::Corrupt { what: _ })) => {}
        Err(error @ (Error::Database(_) | Error::PolicyMoved | Error::Reused(_))) => {
            panic!("{step:?}: {error}");
        }
        Ok(()) | Err(_) => {}
    }
}

async fn scribble(
    store: &Store,
    sql: &'static str,
    row: Vec<chassis::database::Value>,
) -> Result<(), Error> {
    transaction!(store.database, |tx| {
        tx.execute(sql, row.clone()).await?;
        tx.execute("UPDATE policy SET revision = revision + 1", args![])
            .await?;
        Ok(())
    })
}

/// Everybody who asks, alone and with groups.
const SUBJECTS: [(&str, &[&str]); 9] = [
    (PRINCIPALS[0], &[]),
    (PRINCIPALS[1], &[]),
    (PRINCIPALS[2], &[]),
    (PRINCIPALS[4], &[]),
    (PRINCIPALS[5], &[]),
    (PRINCIPALS[6], &[]),
    ("user:a", &["group:a", "group:b"]),
    ("user:stranger", &["group:b"]),
    ("user:stranger", &[]),
];

/// Every answer of the index is what the tables say, and what it tells of it is true.
async fn compare(store: &Store) {
    let tables = Tables::read(&store.database).await;
    let (index, _) = Index::build(store.policy(now()).await.unwrap());
    assert_eq!(index.revision(), revision(store).await);
    for (id, revoke_time, expire_time) in &tables.tokens {
        let revoked = revoke_time.is_some() && now().timestamp_micros() < *expire_time;
        assert_eq!(index.revoked(TokenId(*id)), revoked);
    }
    for seconds in [0, 2] {
        let time = now() + TimeDelta::seconds(seconds);
        for (principal, groups) in SUBJECTS {
            let subject = subject(principal, groups);
            for text in RESOURCES {
                compare_on(&tables, &index, &subject, groups, text, time);
            }
        }
    }
}

fn subject(principal: &str, groups: &[&str]) -> Subject {
    let principal = principal.parse::<Principal>().unwrap();
    let service_permissions = match &principal {
        Principal::Service(service) => service.permissions(),
        Principal::User(_) | Principal::Group(_) | Principal::ServiceAccount(_) => {
            PermissionSet::EMPTY
        }
    };
    Subject {
        principal,
        groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
        service_permissions,
    }
}

fn compare_on(
    tables: &Tables,
    index: &Index,
    subject: &Subject,
    groups: &[&str],
    text: &str,
    time: DateTime<Utc>,
) {
    let resource = text.parse::<ResourceName>().unwrap();
    let principal = subject.principal.to_string();
    let micros = time.timestamp_micros();
    let expected = tables.held(&principal, groups, text, micros);
    let standing = index.standing(subject, time);
    let held = standing.held(&resource).iter();
    let held = held.map(|held| held.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(held, expected, "{principal} {groups:?} on {text}");

    let row = |id: Uuid| tables.bindings.iter().find(|row| row.id == id).unwrap();
    for permission in Permission::ALL {
        let name = permission.to_string();
        let holds = expected.contains(&name);
        let ours = |row: &Binding| {
            assert!(row.principal == principal || groups.contains(&row.principal.as_str()));
            assert!(is_within(text, &row.resource), "{row:?} {text}");
        };
        match standing.decide(*permission, &resource) {
            Decision::Allowed(Granted::ByConfiguration { principal: told }) => {
                assert!(holds && told == subject.principal, "{name}");
            }
            Decision::Allowed(Granted::ByBinding {
                principal: told,
                role,
                binding,
                expire_time,
            }) => {
                assert!(holds, "{principal} {groups:?} {name} on {text}");
                let row = row(binding.id().get());
                ours(row);
                assert_eq!(row.principal, told.to_string());
                assert_eq!(row.role, role.to_string());
                assert_eq!(row.resource, binding.parent().to_string());
                let expires = expire_time.map(|time| time.timestamp_micros());
                assert_eq!(row.expire_time, expires);
                assert!(tables.gives(row, &name, micros));
            }
            Decision::Denied(denied) => {
                assert!(!holds, "{principal} {groups:?} {name} on {text}");
                if let Some(expired) = &denied.expired {
                    let row = row(expired.binding.id().get());
                    ours(row);
                    assert_eq!(
                        row.expire_time,
                        Some(expired.expire_time.timestamp_micros())
                    );
                    assert!(expired.expire_time <= time);
                    let before = expired.expire_time.timestamp_micros() - 1;
                    assert!(tables.gives(row, &name, before), "{row:?} {name}");
                }
                // Bound there, each role that is named would bring it.
                for role in &denied.roles {
                    let bound = Binding {
                        id: Uuid::nil(),
                        resource: text.to_owned(),
                        principal: PRINCIPALS[0].to_owned(),
                        role: role.to_string(),
                        expire_time: None,
                    };
                    assert!(tables.gives(&bound, &name, micros), "{bound:?}");
                }
            }
        }
    }
}

/// A world that is made step by step, and looked at half-way and at the end.
async fn live(db: TestDatabase, steps: Vec<Step>) {
    let store = empty(&db).await;
    let (first, second) = steps.split_at(steps.len() / 2);
    let mut ids = 1_000..;
    for part in [first, second] {
        for (step, id) in part.iter().zip(&mut ids) {
            make(&store, step, id).await;
        }
        compare(&store).await;
    }
}

/// Runs so many worlds, each on a database of its own.
fn run<F: Future<Output = TestDatabase>>(cases: u32, database: impl Fn() -> F) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    let lived = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(async { live(database().await, steps).await });
        Ok(())
    });
    lived.unwrap();
}

#[test]
fn the_index_answers_every_question_as_the_tables_do() {
    run(16, || TestDatabase::sqlite(&crate::store::MIGRATIONS));
}

#[cfg(feature = "test-postgres")]
#[test]
fn the_index_answers_every_question_as_the_tables_of_postgres_do() {
    run(4, || TestDatabase::postgres(&crate::store::MIGRATIONS));
}
