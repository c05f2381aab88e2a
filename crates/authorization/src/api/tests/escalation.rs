//! Whatever allowed calls are made, nobody gets more than those who make them held at the beginning.

use std::collections::BTreeMap;
use std::sync::Mutex;

use model::names::{Principal, ResourceName, RoleName};
use model::permissions::{Permission, PermissionSet};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::api::authorize::administering;
use crate::domain::index::Index;
use crate::domain::subject::Subject;
use crate::domain::tokens::Credential;
use crate::store::MIGRATIONS;

const SCOPES: [&str; 6] = [
    "system",
    "workspaces/a",
    "workspaces/a/deployments/x",
    "workspaces/a/deployments/y",
    "workspaces/b",
    "workspaces/b/deployments/z",
];

/// Those who make calls, and the groups that they are in.
const PEOPLE: [(&str, &[&str]); 3] = [("ann", &["g"]), ("bob", &["g", "h"]), ("eve", &[])];

const ACCOUNTS: [&str; 2] = [
    "workspaces/a/serviceAccounts/ci",
    "workspaces/a/deployments/x/serviceAccounts/bot",
];

/// Those whom roles are bound to.
const BOUND: [&str; 8] = [
    "user:ann",
    "user:bob",
    "user:eve",
    "user:idle",
    "group:g",
    "group:h",
    "service-account:workspaces/a/serviceAccounts/ci",
    "service-account:workspaces/a/deployments/x/serviceAccounts/bot",
];

const PERMISSIONS: [Permission; 10] = [
    Permission::SystemIamUpdate,
    Permission::SystemUsersGet,
    Permission::WorkspaceIamUpdate,
    Permission::WorkspaceServiceAccountsCreate,
    Permission::WorkspaceConfigGet,
    Permission::DeploymentUserRolesUpdate,
    Permission::DeploymentServiceAccountsCreate,
    Permission::DeploymentDagsPush,
    Permission::DeploymentImagesPush,
    Permission::DeploymentConfigGet,
];

/// Not SYSTEM_ADMIN, who may give everything to everybody.
const BUILT_IN: [&str; 5] = [
    "roles/DEPLOYMENT_EDITOR",
    "roles/DEPLOYMENT_ADMIN",
    "roles/WORKSPACE_EDITOR",
    "roles/WORKSPACE_ADMIN",
    "roles/SYSTEM_VIEWER",
];

/// What the administrator makes before the others begin.
#[derive(Clone, Debug)]
struct Beginning {
    /// Where each of the people may give roles, and what else they hold there.
    powers: Vec<(usize, u16)>,
    /// Where, and what each holds.
    roles: Vec<(usize, u16)>,
    /// To whom, where, which of the roles that can be bound there, and for how many minutes.
    bindings: Vec<(usize, usize, usize, Option<u8>)>,
}

/// One call. What it is about is chosen among what there is, by number.
#[derive(Clone, Debug)]
struct Call {
    caller: usize,
    kind: Kind,
    scope: usize,
    which: usize,
    whom: usize,
    permissions: u16,
    /// Whether to ask only for permissions that the caller holds there.
    modest: bool,
    /// Whether a role keeps what it holds.
    keep: bool,
    minutes: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    CreateRole,
    UpdateRole,
    DeleteRole,
    Bind,
    Unbind,
    Mint,
    Apply,
    Pass,
}

/// Mostly narrow ones: whoever holds something on the system holds it everywhere.
fn scopes() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0), 12 => 1..SCOPES.len()]
}

fn beginnings() -> impl Strategy<Value = Beginning> {
    let role = (scopes(), any::<u16>());
    let minutes = proptest::option::weighted(0.2, 1..60_u8);
    let binding = (0..BOUND.len(), scopes(), any::<usize>(), minutes);
    let powers = proptest::collection::vec((scopes(), any::<u16>()), PEOPLE.len());
    let roles = proptest::collection::vec(role, 3..6);
    let bindings = proptest::collection::vec(binding, 8..12);
    (powers, roles, bindings).prop_map(|(powers, roles, bindings)| Beginning {
        powers,
        roles,
        bindings,
    })
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let kind = prop_oneof![
        2 => Just(Kind::CreateRole),
        5 => Just(Kind::UpdateRole),
        1 => Just(Kind::DeleteRole),
        6 => Just(Kind::Bind),
        1 => Just(Kind::Unbind),
        2 => Just(Kind::Mint),
        4 => Just(Kind::Apply),
        1 => Just(Kind::Pass),
    ];
    let about = (0..SCOPES.len(), any::<usize>(), 0..BOUND.len());
    let holding = (any::<u16>(), any::<bool>(), any::<bool>());
    let minutes = proptest::option::weighted(0.2, 1..60_u8);
    let call = (any::<usize>(), kind, about, holding, minutes);
    let call = call.prop_map(|(caller, kind, about, holding, minutes)| {
        let (scope, which, whom) = about;
        let (permissions, modest, keep) = holding;
        Call {
            caller,
            kind,
            scope,
            which,
            whom,
            permissions,
            modest,
            keep,
            minutes,
        }
    });
    proptest::collection::vec(call, 120..160)
}

/// Somebody who makes calls.
struct Actor {
    subject: Subject,
    token: String,
}

struct World {
    house: House,
    actors: Vec<Actor>,
    /// Accounts that somebody has a token of.
    accounts: Vec<&'static str>,
    roles: Vec<String>,
    bindings: Vec<pb::RoleBinding>,
    /// How many calls of each kind were allowed.
    allowed: BTreeMap<Kind, usize>,
}

type Held = Vec<PermissionSet>;

fn set(mask: u16) -> PermissionSet {
    let chosen = (0..).zip(PERMISSIONS);
    let chosen = chosen.filter(|(bit, _)| mask & (1 << bit) != 0);
    chosen.map(|(_, permission)| permission).collect()
}

fn subject(principal: &str, groups: &[&str]) -> Subject {
    let groups = groups.iter().map(|group| format!("group:{group}").parse());
    Subject {
        principal: principal.parse().unwrap(),
        groups: groups.collect::<Result<_, _>>().unwrap(),
        service_permissions: PermissionSet::EMPTY,
    }
}

fn chosen<T>(all: &[T], number: usize) -> Option<&T> {
    all.get(number.checked_rem(all.len())?)
}

fn resource_of(role: &str) -> ResourceName {
    role.parse::<RoleName>().unwrap().parent()
}

fn new_role(resource: &ResourceName, number: usize) -> String {
    match resource {
        ResourceName::System => format!("roles/r{number}"),
        ResourceName::Workspace(_) | ResourceName::Deployment(_) => {
            format!("{resource}/roles/r{number}")
        }
    }
}

/// A file with a role that is bound where it belongs, and another role that is bound on `scope`. The
/// callers have few names for their files, and take away what others have brought.
fn policy_file(
    call: &Call,
    role: &str,
    permissions: PermissionSet,
    scope: &ResourceName,
    near: &[String],
    built_in: bool,
) -> String {
    let permissions = permissions.iter().map(|name| name.to_string());
    let permissions = permissions.collect::<Vec<_>>().join(", ");
    let of_role = resource_of(role);
    let (one, other) = (BOUND[call.whom], chosen(&BOUND, call.which).unwrap());
    let near = chosen(near, call.which).unwrap();
    let mut policy = format!(
        "version: 1\nname: file-{}\nroles:\n- {{name: {role}, permissions: [{permissions}]}}\n\
         role_bindings:\n- {{resource: {of_role}, principal: '{one}', role: {role}}}\n",
        call.caller % PEOPLE.len()
    );
    if (&of_role, one, role) != (scope, *other, near) {
        policy.push_str(&format!(
            "- {{resource: {scope}, principal: '{other}', role: {near}}}\n"
        ));
    }
    if built_in && call.modest {
        let role = chosen(&BUILT_IN, call.which).unwrap();
        let role = role.trim_start_matches("roles/");
        let permission = chosen(&PERMISSIONS, call.permissions.into()).unwrap();
        let held = !call.keep;
        policy.push_str(&format!(
            "built_in_roles: {{{role}: {{permissions: {{{permission}: {held}}}}}}}\n"
        ));
    }
    policy
}

impl World {
    async fn begin(db: &TestDatabase, beginning: Beginning) -> Self {
        let house = House::new(db).await;
        let actors = PEOPLE.map(|(id, groups)| Actor {
            subject: subject(&format!("user:{id}"), groups),
            token: house.user_token(id, groups),
        });
        let mut world = Self {
            actors: actors.into(),
            accounts: Vec::new(),
            roles: BUILT_IN.map(str::to_owned).into(),
            bindings: Vec::new(),
            allowed: BTreeMap::new(),
            house,
        };
        let admin = world.house.user_token("admin", &[]);
        let Beginning {
            powers,
            roles,
            bindings,
        } = beginning;
        for ((id, _), (scope, mask)) in PEOPLE.iter().zip(powers) {
            let resource = SCOPES[scope].parse::<ResourceName>().unwrap();
            let mut held = set(mask).intersection(PermissionSet::grantable_at(resource.level()));
            held.insert(administering(&resource));
            world.create_role(&admin, SCOPES[scope], held).await;
            let role = world.roles.last().unwrap().clone();
            let power = world
                .house
                .bind(&format!("user:{id}"), &role, SCOPES[scope])
                .await;
            world.bindings.push(power);
        }
        for (scope, mask) in roles {
            world.create_role(&admin, SCOPES[scope], set(mask)).await;
        }
        for (whom, scope, which, minutes) in bindings {
            world
                .bind(&admin, BOUND[whom], SCOPES[scope], which, minutes)
                .await;
        }
        world
    }

    async fn create_role(&mut self, token: &str, parent: &str, permissions: PermissionSet) -> bool {
        let id = format!("r{}", self.roles.len());
        let names = permissions.iter().map(Permission::as_str);
        let request = role(parent, &id, &names.collect::<Vec<_>>());
        let request = self.house.request(token, request);
        let made = self.house.service.create_role(request).await;
        let Ok(made) = made else { return false };
        self.roles.push(made.into_inner().role.unwrap().name);
        true
    }

    async fn bind(
        &mut self,
        token: &str,
        whom: &str,
        parent: &str,
        which: usize,
        minutes: Option<u8>,
    ) -> bool {
        // Most roles cannot be bound in most places.
        let resource = parent.parse::<ResourceName>().unwrap();
        let near = self.near(&resource);
        let mut request = binding(whom, chosen(&near, which).unwrap(), parent);
        let minutes = minutes.map(|minutes| TimeDelta::minutes(minutes.into()));
        request.role_binding.as_mut().unwrap().expire_time =
            minutes.map(|minutes| chassis::convert::timestamp(self.house.now() + minutes));
        let request = self.house.request(token, request);
        let made = self.house.service.create_role_binding(request).await;
        let Ok(made) = made else { return false };
        self.bindings.push(made.into_inner().role_binding.unwrap());
        true
    }

    async fn make(&mut self, call: &Call) {
        let actor = chosen(&self.actors, call.caller).unwrap();
        let token = actor.token.clone();
        let index = self.index().await;
        let now = self.house.now();
        let held = |resource: &ResourceName| index.held(&actor.subject, resource, now);
        // Where the caller may change nothing there is nothing to see.
        let administered =
            |resource: &ResourceName| held(resource).contains(administering(resource));
        let scopes = SCOPES.map(|scope| scope.parse::<ResourceName>().unwrap());
        let scopes = scopes.into_iter().filter(administered).collect::<Vec<_>>();
        let roles = self
            .roles
            .iter()
            .filter(|name| administered(&resource_of(name)));
        let roles = roles.cloned().collect::<Vec<_>>();
        let wished = |resource: &ResourceName| {
            let wished = set(call.permissions);
            if call.modest {
                wished.intersection(held(resource))
            } else {
                wished.intersection(PermissionSet::grantable_at(resource.level()))
            }
        };
        let service = &self.house.service;
        let allowed = match call.kind {
            Kind::CreateRole => {
                let Some(scope) = chosen(&scopes, call.which) else {
                    return;
                };
                let permissions = wished(scope);
                self.create_role(&token, &scope.to_string(), permissions)
                    .await
            }
            Kind::UpdateRole => {
                let bound = self.bindings.iter().map(|binding| &binding.role);
                let bound = bound
                    .filter(|name| roles.contains(name))
                    .collect::<Vec<_>>();
                let Some(&name) = chosen(&bound, call.which) else {
                    return;
                };
                let mut permissions = wished(&resource_of(name));
                if call.keep {
                    let today = index.role(&name.parse().unwrap()).unwrap().permissions;
                    permissions = permissions.union(today);
                }
                let permissions = permissions.iter().map(|name| name.to_string());
                let role = pb::Role {
                    name: name.clone(),
                    permissions: permissions.collect(),
                    ..Default::default()
                };
                let request = pb::UpdateRoleRequest {
                    role: Some(role),
                    ..Default::default()
                };
                let request = self.house.request(&token, request);
                service.update_role(request).await.is_ok()
            }
            Kind::DeleteRole => {
                let Some(name) = chosen(&roles, call.which).cloned() else {
                    return;
                };
                let request = pb::DeleteRoleRequest {
                    name: name.clone(),
                    force: call.modest,
                    ..Default::default()
                };
                let request = self.house.request(&token, request);
                let deleted = service.delete_role(request).await.is_ok();
                self.roles.retain(|role| !deleted || *role != name);
                deleted
            }
            Kind::Bind => {
                let Some(scope) = chosen(&scopes, call.scope) else {
                    return;
                };
                let (whom, scope) = (BOUND[call.whom], scope.to_string());
                self.bind(&token, whom, &scope, call.which, call.minutes)
                    .await
            }
            Kind::Unbind => {
                let Some(binding) = chosen(&self.bindings, call.which) else {
                    return;
                };
                let request = pb::DeleteRoleBindingRequest {
                    name: binding.name.clone(),
                    ..Default::default()
                };
                let request = self.house.request(&token, request);
                service.delete_role_binding(request).await.is_ok()
            }
            Kind::Mint => self.mint(&token, call.which).await,
            Kind::Apply => {
                let (Some(scope), Some(of_role)) =
                    (chosen(&scopes, call.scope), chosen(&scopes, call.which))
                else {
                    return;
                };
                let there = roles.iter().filter(|name| resource_of(name) == *of_role);
                let there = there.collect::<Vec<_>>();
                let role = match chosen(&there, call.permissions.into()) {
                    Some(&role) if call.keep => role.clone(),
                    Some(_) | None => new_role(of_role, self.roles.len()),
                };
                let near = self.near(scope);
                let built_in = scopes.contains(&ResourceName::System);
                let policy = policy_file(call, &role, wished(of_role), scope, &near, built_in);
                self.apply(&token, policy).await
            }
            Kind::Pass => {
                self.house.pass(TimeDelta::minutes(call.scope as i64));
                true
            }
        };
        *self.allowed.entry(call.kind).or_default() += usize::from(allowed);
    }

    async fn mint(&mut self, token: &str, which: usize) -> bool {
        let account = *chosen(&ACCOUNTS, which).unwrap();
        let request = pb::CreateServiceAccountTokenRequest {
            parent: account.to_owned(),
            service_account_token: Some(pb::ServiceAccountToken {
                expire_time: Some(chassis::convert::timestamp(
                    self.house.now() + TimeDelta::days(1),
                )),
                ..Default::default()
            }),
            ..Default::default()
        };
        let request = self.house.request(token, request);
        let made = self
            .house
            .service
            .create_service_account_token(request)
            .await;
        let Ok(made) = made else { return false };
        if !self.accounts.contains(&account) {
            self.accounts.push(account);
            self.actors.push(Actor {
                subject: subject(&format!("service-account:{account}"), &[]),
                token: made.into_inner().token,
            });
        }
        true
    }

    async fn apply(&mut self, token: &str, policy: String) -> bool {
        let request = pb::ApplyPolicyRequest {
            policy,
            ..Default::default()
        };
        let request = self.house.request(token, request);
        let applied = self.house.service.apply_policy(request).await;
        let Ok(applied) = applied else { return false };
        let changes = applied.into_inner().changes;
        for change in &changes {
            match change.r#type() {
                pb::PolicyChangeType::RoleCreated => self.roles.push(change.name.clone()),
                pb::PolicyChangeType::RoleDeleted => {
                    self.roles.retain(|role| *role != change.name);
                }
                pb::PolicyChangeType::RoleBindingCreated => self.bindings.push(pb::RoleBinding {
                    name: change.name.clone(),
                    role: change.role.clone(),
                    ..Default::default()
                }),
                pb::PolicyChangeType::RoleBindingDeleted => {
                    self.bindings.retain(|binding| binding.name != change.name);
                }
                pb::PolicyChangeType::Unspecified
                | pb::PolicyChangeType::RoleUpdated
                | pb::PolicyChangeType::BuiltInRoleChanged
                | pb::PolicyChangeType::RoleBindingUpdated
                | pb::PolicyChangeType::TokenRevoked => {}
            }
        }
        !changes.is_empty()
    }

    /// The roles that can be bound on a resource.
    fn near(&self, resource: &ResourceName) -> Vec<String> {
        let near = self.roles.iter().filter(|name| {
            let of = resource_of(name);
            resource.ancestors().any(|ancestor| ancestor == of)
        });
        near.cloned().collect()
    }

    async fn index(&self) -> Arc<Index> {
        let index = self.house.service.policy.newest(&Credential::Unrecorded);
        index.await.unwrap()
    }

    /// What somebody holds on each of the resources.
    fn held(&self, index: &Index, subject: &Subject) -> Held {
        let now = self.house.now();
        let held = |scope: &str| index.held(subject, &scope.parse().unwrap(), now);
        SCOPES.map(held).into()
    }

    /// What each of those holds whom roles are bound to.
    async fn all_held(&self) -> Vec<(Principal, Held)> {
        let index = self.index().await;
        let held = BOUND.map(|principal| {
            let subject = subject(principal, &[]);
            let held = self.held(&index, &subject);
            (subject.principal, held)
        });
        held.into()
    }
}

async fn nobody_gets_more(beginning: Beginning, calls: Vec<Call>) -> BTreeMap<Kind, usize> {
    let db = TestDatabase::sqlite(&MIGRATIONS).await;
    let mut world = World::begin(&db, beginning).await;
    let before = world.all_held().await;
    let mut actors_held = vec![PermissionSet::EMPTY; SCOPES.len()];
    let index = world.index().await;
    for actor in &world.actors {
        let held = world.held(&index, &actor.subject);
        for (all, held) in actors_held.iter_mut().zip(held) {
            *all = all.union(held);
        }
    }
    for call in &calls {
        world.make(call).await;
        for ((principal, held), (_, at_first)) in world.all_held().await.iter().zip(&before) {
            let has_token = |account: &&str| principal.to_string().ends_with(*account);
            let is_actor = world.accounts.iter().any(has_token);
            for (number, scope) in SCOPES.iter().enumerate() {
                // What an idle one was given by the administrator is no escalation, until an actor
                // has a token of it.
                let own = if is_actor {
                    PermissionSet::EMPTY
                } else {
                    at_first[number]
                };
                let more = held[number].difference(actors_held[number].union(own));
                assert!(
                    more.is_empty(),
                    "{principal} has got {more} on {scope} by {call:?}"
                );
            }
        }
    }
    world.allowed
}

#[test]
fn nobody_gets_more_than_those_who_make_the_calls_held_at_the_beginning() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let config = Config {
        cases: 10,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let allowed = Mutex::new(BTreeMap::new());
    let run = TestRunner::new(config).run(&(beginnings(), calls()), |(beginning, calls)| {
        let counted = runtime.block_on(nobody_gets_more(beginning, calls));
        let mut allowed = allowed.lock().unwrap();
        for (kind, count) in counted {
            *allowed.entry(kind).or_insert(0) += count;
        }
        Ok(())
    });
    run.unwrap();
    // Where all is refused nothing is shown.
    let allowed = allowed.into_inner().unwrap();
    for kind in [
        Kind::CreateRole,
        Kind::UpdateRole,
        Kind::Bind,
        Kind::Unbind,
        Kind::Mint,
        Kind::Apply,
    ] {
        assert!(allowed[&kind] >= 5, "{allowed:?}");
    }
}
