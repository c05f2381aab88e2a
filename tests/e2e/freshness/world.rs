use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use model::names::ServiceName;
use proto::authorization::v1::{CreateRoleBindingRequest, DeleteRoleBindingRequest, RoleBinding};

use super::history::{Answer, Change, History, MOST_BEHIND, Promise, Replica, Span};
use crate::harness::orders::WORKSPACE;
use crate::harness::person::Authorization;
use crate::harness::process::Process;
use crate::harness::refusal::done;
use crate::harness::{Addresses, DEPLOYMENT, Person, Setup, Stack};

/// What people get and lose.
pub(super) const PERMISSION: &str = "deployment.dags.push";

/// The replica of the stack.
pub(super) const FIRST: Replica = 0;
/// The one beside it.
pub(super) const SECOND: Replica = 1;

/// A person, and the one binding that brings them [`PERMISSION`] on [`DEPLOYMENT`].
struct Role {
    person: &'static str,
    groups: &'static [&'static str],
    bound: &'static str,
    resource: &'static str,
    role: &'static str,
}

const ROLES: [Role; 4] = [
    Role {
        person: "ann",
        groups: &[],
        bound: "user:ann",
        resource: DEPLOYMENT,
        role: "roles/DEPLOYMENT_EDITOR",
    },
    Role {
        person: "bob",
        groups: &["data-eng"],
        bound: "group:data-eng",
        resource: DEPLOYMENT,
        role: "roles/DEPLOYMENT_ADMIN",
    },
    Role {
        person: "cleo",
        groups: &[],
        bound: "user:cleo",
        resource: WORKSPACE,
        role: "roles/WORKSPACE_ADMIN",
    },
    Role {
        person: "dan",
        groups: &[],
        bound: "user:dan",
        resource: DEPLOYMENT,
        role: "workspaces/acme/roles/dag-pusher",
    },
];
pub(super) const PEOPLE: usize = ROLES.len();
const WRITERS: [&str; 3] = ["admin", "wanda", "walt"];

/// Two replicas of the authorization service, those who call them, and all that was answered.
pub(super) struct World {
    pub(super) stack: Stack,
    /// The second replica.
    pub(super) other: Process,
    /// Each as a caller of each replica.
    pub(super) people: Vec<[Person; 2]>,
    pub(super) orchestrator: [Person; 2],
    writers: Vec<[Person; 2]>,
    start: Instant,
    first_revision: i64,
    /// The newest policy that anybody has heard of.
    newest: AtomicI64,
    changes: Mutex<Vec<Change>>,
    answers: Mutex<Vec<Answer>>,
}

impl World {
    /// Two replicas that are alike.
    pub(super) async fn new() -> Self {
        Self::with_other(async |first| first.replica().await).await
    }

    /// The second replica is made from the first.
    pub(super) async fn with_other(other: impl AsyncFnOnce(&Process) -> Process) -> Self {
        let stack = Setup::postgres().await.start().await;
        let other = other(&stack.authorization).await;
        let here = stack.addresses();
        let there = Addresses {
            authorization: other.address,
            ..here
        };
        let everywhere = |person: Person| [person.at(here), person.at(there)];

        let admin = stack.person("admin");
        admin
            .create_role(WORKSPACE, "dag-pusher", &[PERMISSION])
            .await;
        let writers = WRITERS.map(|name| everywhere(stack.person(name)));
        for [writer, _] in &writers[1..] {
            admin
                .bind("system", &writer.principal, "roles/SYSTEM_ADMIN")
                .await;
        }
        let people = ROLES.map(|Role { person, groups, .. }| {
            let token = stack.token_of(person, groups);
            everywhere(Person::new(here, &format!("user:{person}"), &token))
        });
        let orchestrator = everywhere(stack.service(
            ServiceName::RollbackOrchestrator,
            ServiceName::Authorization,
        ));
        let mut world = Self {
            stack,
            other,
            people: people.into(),
            orchestrator,
            writers: writers.into(),
            start: Instant::now(),
            first_revision: 0,
            newest: AtomicI64::default(),
            changes: Mutex::default(),
            answers: Mutex::default(),
        };
        assert_eq!(world.check(0, SECOND, Promise::Newest).await, Some(false));
        world.first_revision = world.newest();
        world
    }

    /// Somebody as a caller of each replica.
    pub(super) fn everywhere(&self, person: &Person) -> [Person; 2] {
        let here = self.stack.addresses();
        let there = Addresses {
            authorization: self.other.address,
            ..here
        };
        [person.at(here), person.at(there)]
    }

    /// Gives a person their role, and returns the binding's name.
    pub(super) async fn give(&self, person: usize, writer: usize, at: Replica) -> String {
        let Role {
            bound,
            resource,
            role,
            ..
        } = ROLES[person];
        let request = CreateRoleBindingRequest {
            parent: resource.to_owned(),
            role_binding: Some(RoleBinding {
                principal: bound.to_owned(),
                role: role.to_owned(),
                ..RoleBinding::default()
            }),
            ..CreateRoleBindingRequest::default()
        };
        let mut writer = self.writer(writer, at);
        let (created, span) = self.timed(writer.create_role_binding(request)).await;
        let created = done(created);
        self.changed(Change {
            at,
            person,
            gives: true,
            revision: created.policy_revision,
            span,
        });
        created.role_binding.unwrap().name
    }

    /// Takes it away again.
    pub(super) async fn take(&self, person: usize, binding: &str, writer: usize, at: Replica) {
        let request = DeleteRoleBindingRequest {
            name: binding.to_owned(),
            ..DeleteRoleBindingRequest::default()
        };
        let mut writer = self.writer(writer, at);
        let (deleted, span) = self.timed(writer.delete_role_binding(request)).await;
        self.changed(Change {
            at,
            person,
            gives: false,
            revision: done(deleted).policy_revision,
            span,
        });
    }

    pub(super) fn writer(&self, writer: usize, at: Replica) -> Authorization {
        self.writers[writer % WRITERS.len()][at].authorization()
    }

    fn changed(&self, change: Change) {
        self.heard_of(change.revision);
        self.changes.lock().unwrap().push(change);
    }

    /// Writes down what somebody was told.
    pub(super) fn answered(&self, answer: Answer) {
        if let Some(revision) = answer.revision {
            self.heard_of(revision);
        }
        self.answers.lock().unwrap().push(answer);
    }

    fn heard_of(&self, revision: i64) {
        self.newest.fetch_max(revision, Ordering::SeqCst);
    }

    /// The newest policy that anybody has heard of.
    pub(super) fn newest(&self) -> i64 {
        self.newest.load(Ordering::SeqCst)
    }

    /// Waits for an answer, and looks at the clock before and after.
    pub(super) async fn timed<T>(&self, answer: impl Future<Output = T>) -> (T, Span) {
        let begun = self.start.elapsed();
        let answer = answer.await;
        let ended = self.start.elapsed();
        (answer, Span { begun, ended })
    }

    /// Does something again and again until what was in memory before counts no more.
    pub(super) async fn longer_than_memory_counts(&self, busy: impl AsyncFn(usize)) {
        let over = self.start.elapsed() + MOST_BEHIND;
        for turn in 0.. {
            busy(turn).await;
            if self.start.elapsed() > over {
                break;
            }
        }
    }

    /// Fails if any promise was broken so far.
    pub(super) fn assert_promises_kept(&self) {
        let violations = self.history().violations();
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// All that happened so far.
    pub(super) fn history(&self) -> History {
        History {
            first_revision: self.first_revision,
            changes: self.changes.lock().unwrap().clone(),
            answers: self.answers.lock().unwrap().clone(),
        }
    }
}
