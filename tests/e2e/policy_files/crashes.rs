//! A file that was applied is there as a whole after `kill -9`; one that was not answered is there
//! as a whole or not at all.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use proto::authorization::v1::{
    ApplyPolicyRequest, ApplyPolicyResponse, ListRoleBindingsRequest, ListRolesRequest,
    PolicyChange, PolicyChangeType,
};
use tonic::{Request, Status};

use super::{PAGE_SIZE, changes};
use crate::harness::orders::WORKSPACE;
use crate::harness::refusal::done;
use crate::harness::{DEPLOYMENT, Person, Refusal, Setup, Stack, until};

const KILLS: usize = 12;
/// Each has a file of its own.
const CLIENTS: usize = 3;
/// A process lives for at most so many applications.
const LONGEST_LIFE: usize = 12;
const PATIENCE: Duration = Duration::from_secs(20);

on_both_databases!(a_file_is_applied_as_a_whole_or_not_at_all_whenever_the_service_is_killed);

/// Roles and what they hold, and bindings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Brought {
    roles: BTreeMap<String, BTreeSet<String>>,
    /// Resource, principal and role.
    bindings: BTreeSet<(String, String, String)>,
}

/// A version of a client's file, and what was answered when it was applied.
struct Application {
    client: usize,
    turn: usize,
    answer: Option<ApplyPolicyResponse>,
}

impl Application {
    fn file(&self) -> String {
        format!("file-{}", self.client)
    }

    /// What the recorded changes tell it by.
    fn reason(&self) -> String {
        format!("turn {} of {}", self.turn, self.client)
    }

    /// Two roles and two bindings of each. From one turn to the next one role goes, one changes and
    /// one comes.
    fn says(&self) -> Brought {
        let Self { client, turn, .. } = self;
        let mut brought = Brought::default();
        for (number, permission) in [
            (*turn, "deployment.dags.push"),
            (turn + 1, "deployment.config.get"),
        ] {
            let role = format!("{WORKSPACE}/roles/r{client}-{number}");
            let permissions = BTreeSet::from([permission.to_owned()]);
            for resource in [WORKSPACE, DEPLOYMENT] {
                let principal = format!("user:u{client}-{turn}");
                let binding = (resource.to_owned(), principal, role.clone());
                brought.bindings.insert(binding);
            }
            brought.roles.insert(role, permissions);
        }
        brought
    }

    fn policy(&self) -> String {
        let Brought { roles, bindings } = self.says();
        let mut policy = format!("version: 1\nname: {}\nroles:\n", self.file());
        for (name, permissions) in roles {
            let permissions = permissions.into_iter().collect::<Vec<_>>().join(", ");
            policy.push_str(&format!(
                "- {{name: {name}, permissions: [{permissions}]}}\n"
            ));
        }
        policy.push_str("role_bindings:\n");
        for (resource, principal, role) in bindings {
            policy.push_str(&format!(
                "- {{resource: {resource}, principal: '{principal}', role: {role}}}\n"
            ));
        }
        policy
    }

    /// Sends it, and returns the answer unless it was lost.
    async fn send(&self, admin: &Person) -> Option<ApplyPolicyResponse> {
        match self.try_send(admin).await {
            Ok(answer) => Some(answer),
            Err(status) => {
                let refusal = Refusal::of(&status);
                // What the service itself has said has a reason.
                let lost = ["", "DEPENDENCY_UNAVAILABLE"].contains(&refusal.reason.as_str());
                assert!(lost, "{}: {refusal}", self.reason());
                None
            }
        }
    }

    async fn try_send(&self, admin: &Person) -> Result<ApplyPolicyResponse, Status> {
        let mut request = Request::new(ApplyPolicyRequest {
            policy: self.policy(),
            validate_only: false,
            reason: self.reason(),
        });
        request.set_timeout(PATIENCE);
        let answer = admin.authorization().apply_policy(request).await?;
        Ok(answer.into_inner())
    }
}

/// What all clients share.
#[derive(Default)]
struct Book {
    begun: Cell<usize>,
    closed: Cell<bool>,
}

/// Applies one version after the other. Of two that are not answered one is repeated until it is.
async fn work(client: usize, admin: &Person, book: &Book) -> Vec<Application> {
    let mut applications = Vec::new();
    for turn in 0.. {
        if book.closed.get() {
            break;
        }
        let mut application = Application {
            client,
            turn,
            answer: None,
        };
        book.begun.update(|begun| begun + 1);
        application.answer = application.send(admin).await;
        if application.answer.is_none() && turn % 2 == 0 {
            let answer = until("an answer", async || application.send(admin).await).await;
            application.answer = Some(answer);
        }
        applications.push(application);
    }
    applications
}

async fn a_file_is_applied_as_a_whole_or_not_at_all_whenever_the_service_is_killed(setup: Setup) {
    let mut stack = setup.start().await;
    let admin = stack.person("admin");
    let before = changes(&admin).await;
    let book = Book::default();
    // Each has a connection of its own.
    let clients = (0..CLIENTS).map(|client| (client, stack.person("admin")));
    let clients = clients.collect::<Vec<_>>();
    let working = clients
        .iter()
        .map(|(client, admin)| work(*client, admin, &book));
    let killing = async {
        for _ in 0..KILLS {
            let last = book.begun.get() + 1 + random(&stack) % LONGEST_LIFE;
            until("the next moment to kill it", async || {
                (book.begun.get() >= last).then_some(())
            })
            .await;
            stack.authorization.kill();
            stack.authorization.restart().await;
        }
        book.closed.set(true);
    };
    let (applications, ()) = tokio::join!(join_all(working), killing);
    let applications = applications.into_iter().flatten().collect::<Vec<_>>();
    let unanswered = applications.iter().filter(|one| one.answer.is_none());
    assert!(
        unanswered.count() > 0,
        "every file was answered: nothing is shown"
    );

    let mut news = changes(&admin).await;
    news.truncate(news.len() - before.len());
    news.reverse();
    let brought = replay(before[0].policy_revision, &news, &applications);
    assert_eq!(listed(&admin).await, brought);

    // Each file can be applied again, as if nothing had happened.
    for client in 0..CLIENTS {
        let last = Application {
            client,
            turn: applications.len(),
            answer: None,
        };
        let answer = last.try_send(&admin).await.unwrap();
        assert!(answer.change_count > 0, "{answer:?}");
        assert_eq!(listed(&admin).await[&last.file()], last.says());
    }
}

fn random(stack: &Stack) -> usize {
    let [low, ..] = stack.environment.new_uuid().into_bytes();
    low.into()
}

/// Makes the changes, from the oldest to the newest, and returns what each file has brought then.
/// Each revision must be one application as a whole, and each answered application one revision.
fn replay(
    first: i64,
    changes: &[PolicyChange],
    applications: &[Application],
) -> BTreeMap<String, Brought> {
    let mut brought = BTreeMap::<String, Brought>::new();
    let mut revisions = BTreeMap::new();
    let groups = changes.chunk_by(|one, next| one.policy_revision == next.policy_revision);
    for (revision, group) in (first + 1..).zip(groups) {
        let reason = &group[0].reason;
        let application = applications.iter().find(|one| one.reason() == *reason);
        let application = application.unwrap_or_else(|| panic!("nobody asked for {group:?}"));
        let file = application.file();
        let mut after = brought.remove(&file).unwrap_or_default();
        for change in group {
            assert_eq!(change.policy_revision, revision, "{change:?}");
            assert_eq!((&change.reason, &change.managed_by), (reason, &file));
            after.change(change);
        }
        assert_eq!(after, application.says(), "{reason} was not applied whole");
        brought.insert(file, after);
        let again = revisions.insert(reason.clone(), (revision, group.len()));
        assert!(again.is_none(), "{reason} was applied twice");
    }
    for application in applications {
        let Some(answer) = &application.answer else {
            continue;
        };
        let reason = application.reason();
        let Some((revision, count)) = revisions.get(&reason) else {
            panic!("{reason} was answered and is lost: {answer:?}");
        };
        match usize::try_from(answer.change_count).unwrap() {
            // It was applied when it was sent before.
            0 => assert!(*revision <= answer.policy_revision, "{reason}: {answer:?}"),
            told => assert_eq!((answer.policy_revision, told), (*revision, *count)),
        }
    }
    brought
}

impl Brought {
    fn change(&mut self, change: &PolicyChange) {
        let PolicyChange {
            name,
            principal,
            role,
            resource,
            added_permissions,
            removed_permissions,
            ..
        } = change;
        let binding = (resource.clone(), principal.clone(), role.clone());
        match change.r#type() {
            PolicyChangeType::RoleCreated | PolicyChangeType::RoleUpdated => {
                let role = self.roles.entry(name.clone()).or_default();
                role.retain(|held| !removed_permissions.contains(held));
                role.extend(added_permissions.iter().cloned());
            }
            PolicyChangeType::RoleDeleted => assert!(self.roles.remove(name).is_some()),
            PolicyChangeType::RoleBindingCreated => assert!(self.bindings.insert(binding)),
            PolicyChangeType::RoleBindingDeleted => assert!(self.bindings.remove(&binding)),
            other @ (PolicyChangeType::Unspecified
            | PolicyChangeType::BuiltInRoleChanged
            | PolicyChangeType::RoleBindingUpdated
            | PolicyChangeType::TokenRevoked) => panic!("nobody asked for {other:?}"),
        }
    }
}

/// What there is of each file.
async fn listed(admin: &Person) -> BTreeMap<String, Brought> {
    let mut brought = BTreeMap::<String, Brought>::new();
    let roles = ListRolesRequest {
        parent: WORKSPACE.to_owned(),
        page_size: PAGE_SIZE,
        ..ListRolesRequest::default()
    };
    for role in done(admin.authorization().list_roles(roles).await).roles {
        let of_file = brought.entry(role.managed_by).or_default();
        let permissions = role.permissions.into_iter().collect();
        of_file.roles.insert(role.name, permissions);
    }
    let bindings = ListRoleBindingsRequest {
        parent: WORKSPACE.to_owned(),
        page_size: PAGE_SIZE,
        include_descendants: true,
        ..ListRoleBindingsRequest::default()
    };
    let bindings = admin.authorization().list_role_bindings(bindings).await;
    for binding in done(bindings).role_bindings {
        let (resource, _) = binding.name.split_once("/roleBindings/").unwrap();
        let of_file = brought.entry(binding.managed_by).or_default();
        let binding = (resource.to_owned(), binding.principal, binding.role);
        assert!(of_file.bindings.insert(binding), "a binding is there twice");
    }
    brought
}
