use std::collections::{BTreeMap, BTreeSet};

use model::permissions::Permission;
use proto::authorization::v1::consistency::Requirement;
use proto::authorization::v1::permission_result::Result as Item;
use proto::authorization::v1::{
    BatchCheckPermissionsRequest, Consistency, ListPolicyChangesRequest, ListRoleBindingsRequest,
    ListRolesRequest, ListServiceAccountTokensRequest, PermissionQuestion, PolicyChange,
    PolicyChangeType,
};

use super::ledger::{Binding, Done, Found, Recorded, Token};
use crate::harness::orders::WORKSPACE;
use crate::harness::refusal::done;
use crate::harness::{DEPLOYMENT, Person, Stack};

/// Where roles are created and bound.
const RESOURCES: [&str; 2] = [WORKSPACE, DEPLOYMENT];
const PAGE_SIZE: i32 = 1_000;

/// Everything that a service lists, and its newest policy.
pub(super) async fn all(admin: &Person) -> Found {
    let mut changes = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListPolicyChangesRequest {
            parent: "system".to_owned(),
            page_size: PAGE_SIZE,
            page_token,
            include_descendants: true,
        };
        let page = done(admin.authorization().list_policy_changes(request).await);
        changes.extend(page.policy_changes.into_iter().map(recorded));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    changes.reverse();
    Found {
        revision: revision(admin).await,
        changes,
        roles: roles(admin, &RESOURCES, false).await.into_keys().collect(),
        bindings: bindings(admin).await,
        tokens: tokens(admin).await,
    }
}

async fn bindings(admin: &Person) -> BTreeMap<String, Binding> {
    let mut bindings = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = ListRoleBindingsRequest {
            parent: "system".to_owned(),
            page_size: PAGE_SIZE,
            page_token,
            include_descendants: true,
            ..ListRoleBindingsRequest::default()
        };
        let page = done(admin.authorization().list_role_bindings(request).await);
        bindings.extend(page.role_bindings.into_iter().map(|binding| {
            let bound = Binding {
                resource: resource(&binding.name),
                principal: binding.principal,
                role: binding.role,
            };
            (binding.name, bound)
        }));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return bindings;
        }
    }
}

/// The tokens of all accounts, and which of them were revoked.
async fn tokens(admin: &Person) -> BTreeMap<String, Token> {
    let mut tokens = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = ListServiceAccountTokensRequest {
            parent: format!("{WORKSPACE}/serviceAccounts/-"),
            page_size: PAGE_SIZE,
            page_token,
            include_inactive: true,
        };
        let mut authorization = admin.authorization();
        let page = done(authorization.list_service_account_tokens(request).await);
        tokens.extend(page.service_account_tokens.into_iter().map(|token| {
            let known = Token {
                description: token.description,
                expire_time: token.expire_time.unwrap().seconds,
                revoked: token.revoke_time.is_some(),
            };
            (token.name, known)
        }));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return tokens;
        }
    }
}

/// The roles of resources, or all that can be bound there, and what they hold.
async fn roles(
    admin: &Person,
    parents: &[&str],
    include_inherited: bool,
) -> BTreeMap<String, Vec<String>> {
    let mut roles = BTreeMap::new();
    for parent in parents {
        let mut page_token = String::new();
        loop {
            let request = ListRolesRequest {
                parent: (*parent).to_owned(),
                page_size: PAGE_SIZE,
                page_token,
                include_inherited,
            };
            let page = done(admin.authorization().list_roles(request).await);
            let listed = page.roles.into_iter();
            roles.extend(listed.map(|role| (role.name, role.permissions)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
    roles
}

fn recorded(change: PolicyChange) -> Recorded {
    let kind = change.r#type();
    let PolicyChange {
        policy_revision,
        name,
        resource,
        principal,
        role,
        ..
    } = change;
    let binding = Binding {
        resource,
        principal,
        role,
    };
    let done = match kind {
        PolicyChangeType::RoleCreated => Done::RoleCreated,
        PolicyChangeType::RoleDeleted => Done::RoleDeleted,
        PolicyChangeType::RoleBindingCreated => Done::Bound(binding),
        PolicyChangeType::RoleBindingDeleted => Done::Unbound(binding),
        PolicyChangeType::TokenRevoked => Done::Revoked,
        other @ (PolicyChangeType::Unspecified
        | PolicyChangeType::RoleUpdated
        | PolicyChangeType::BuiltInRoleChanged
        | PolicyChangeType::RoleBindingUpdated) => panic!("nobody asked for {other:?}"),
    };
    Recorded {
        revision: policy_revision,
        done,
        name,
    }
}

/// What stands before the binding's own id.
fn resource(binding: &str) -> String {
    match binding.rsplit_once("/roleBindings/") {
        Some((resource, _)) => resource.to_owned(),
        None => "system".to_owned(),
    }
}

async fn revision(admin: &Person) -> i64 {
    let request = request(&[Permission::DeploymentConfigGet]);
    let checked = done(admin.authorization().batch_check_permissions(request).await);
    checked.policy_revision
}

/// Everybody who was ever bound may do exactly what the listed roles and bindings say.
pub(super) async fn assert_checks_say_what_is_listed(stack: &Stack, found: &Found) {
    let everywhere = ["system", WORKSPACE, DEPLOYMENT];
    let roles = roles(&stack.person("admin"), &everywhere, true).await;
    let everybody = found
        .changes
        .iter()
        .filter_map(|change| match &change.done {
            Done::Bound(binding) | Done::Unbound(binding) => Some(&binding.principal),
            Done::RoleCreated | Done::RoleDeleted | Done::Revoked => None,
        });
    let mut allowed = 0;
    for principal in everybody.collect::<BTreeSet<_>>() {
        let id = principal.strip_prefix("user:").unwrap();
        let person = stack.person(id);
        let request = request(Permission::ALL);
        let questions = request.questions.clone();
        let checked = person
            .authorization()
            .batch_check_permissions(request)
            .await;
        let results = done(checked).results;
        assert_eq!(results.len(), questions.len());
        for (question, result) in questions.iter().zip(results) {
            let Some(Item::Decision(decision)) = result.result else {
                panic!("{principal} {question:?}: {result:?}");
            };
            let is_listed = found.bindings.values().any(|binding| {
                binding.principal == *principal
                    && is_in(&question.resource, &binding.resource)
                    && held(&roles, &binding.role).contains(&question.permission)
            });
            assert_eq!(decision.allowed, is_listed, "{principal} {question:?}");
            allowed += usize::from(is_listed);
        }
    }
    assert!(allowed > 0, "nobody holds anything: nothing is shown");
}

fn held<'a>(roles: &'a BTreeMap<String, Vec<String>>, role: &str) -> &'a [String] {
    let held = roles.get(role);
    held.unwrap_or_else(|| panic!("{role} is bound and not listed"))
}

/// Permissions on every resource, by the newest policy.
fn request(permissions: &[Permission]) -> BatchCheckPermissionsRequest {
    let questions = permissions.iter().flat_map(|permission| {
        RESOURCES.map(|resource| PermissionQuestion {
            permission: permission.to_string(),
            resource: resource.to_owned(),
        })
    });
    BatchCheckPermissionsRequest {
        questions: questions.collect(),
        consistency: Some(Consistency {
            requirement: Some(Requirement::FullyConsistent(true)),
        }),
        ..BatchCheckPermissionsRequest::default()
    }
}

fn is_in(resource: &str, ancestor: &str) -> bool {
    ancestor == "system" || format!("{resource}/").starts_with(&format!("{ancestor}/"))
}
