//! What the policy says, read from the tables as a person would: no index, no masks, no names that
//! are parsed; text against text.

use std::collections::{BTreeMap, BTreeSet};

use chassis::args;
use chassis::database::Database;
use model::names::ServiceName;
use model::permissions::Permission;
use model::roles::SystemRole;
use uuid::Uuid;

/// All tables that make the policy.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) bindings: Vec<Binding>,
    /// Name and document.
    roles: Vec<(String, String)>,
    /// Role, permission, and whether it is held.
    changes: Vec<(String, String, bool)>,
    /// Id, when it was revoked, and when it expires.
    pub(super) tokens: Vec<(Uuid, Option<i64>, i64)>,
    /// What each role holds, by all of the above.
    held: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Binding {
    pub(super) id: Uuid,
    pub(super) resource: String,
    pub(super) principal: String,
    pub(super) role: String,
    pub(super) expire_time: Option<i64>,
}

/// Every resource of the worlds that are looked at; what else a row names is no resource.
pub(super) const RESOURCES: [&str; 7] = [
    "system",
    "workspaces/v",
    "workspaces/w",
    "workspaces/v/deployments/d",
    "workspaces/v/deployments/e",
    "workspaces/w/deployments/d",
    "workspaces/w/deployments/e",
];

/// Everybody in the worlds that are looked at; whom else a row names is nobody.
pub(super) const PRINCIPALS: [&str; 7] = [
    "user:a",
    "user:b",
    "group:a",
    "group:b",
    "service-account:workspaces/v/serviceAccounts/a",
    "service-account:workspaces/v/deployments/d/serviceAccounts/a",
    "service:rollback-orchestrator",
];

impl Tables {
    pub(super) async fn read(database: &Database) -> Self {
        let mut connection = database.read().await.unwrap();
        let mut tables = Self {
            bindings: connection
                .fetch_all("SELECT * FROM role_bindings", args![])
                .await
                .unwrap(),
            roles: connection
                .fetch_all("SELECT name, permissions FROM roles", args![])
                .await
                .unwrap(),
            changes: connection
                .fetch_all(
                    "SELECT role, permission, held FROM built_in_role_changes",
                    args![],
                )
                .await
                .unwrap(),
            tokens: connection
                .fetch_all(
                    "SELECT id, revoke_time, expire_time FROM service_account_tokens",
                    args![],
                )
                .await
                .unwrap(),
            held: BTreeMap::new(),
        };
        let built_in = SystemRole::ALL.iter().map(|role| format!("roles/{role}"));
        let custom = tables.roles.iter().map(|(name, _)| name.clone());
        tables.held = built_in
            .chain(custom)
            .map(|name| (name.clone(), tables.role(&name)))
            .collect();
        tables
    }

    /// What somebody holds on a resource.
    pub(super) fn held(
        &self,
        principal: &str,
        groups: &[&str],
        resource: &str,
        now: i64,
    ) -> BTreeSet<String> {
        if principal == "service:rollback-orchestrator" {
            let permissions = ServiceName::RollbackOrchestrator.permissions().iter();
            return permissions.map(|held| held.to_string()).collect();
        }
        let bindings = self.bindings.iter().filter(|binding| {
            (binding.principal == principal || groups.contains(&binding.principal.as_str()))
                && is_within(resource, &binding.resource)
        });
        bindings
            .filter_map(|binding| self.given(binding, now))
            .flatten()
            .cloned()
            .collect()
    }

    /// Whether a binding gives a permission.
    pub(super) fn gives(&self, binding: &Binding, permission: &str, now: i64) -> bool {
        self.given(binding, now)
            .is_some_and(|given| given.contains(permission))
    }

    /// What a binding gives.
    fn given(&self, binding: &Binding, now: i64) -> Option<&BTreeSet<String>> {
        // The last time that there is lies some 260,000 years ahead.
        let holds = binding
            .expire_time
            .is_none_or(|time| now < time && time < i64::MAX);
        let named = RESOURCES.contains(&binding.resource.as_str())
            && PRINCIPALS.contains(&binding.principal.as_str())
            && !binding.principal.starts_with("service:");
        if !holds || !named || !is_within(&binding.resource, parent_of(&binding.role)) {
            return None;
        }
        let held = self.held.get(&binding.role)?;
        let lowest = depth(&binding.resource);
        held.iter()
            .all(|held| level(held) >= lowest)
            .then_some(held)
    }

    /// What a role holds.
    fn role(&self, name: &str) -> BTreeSet<String> {
        let built_in = SystemRole::ALL
            .iter()
            .find(|role| format!("roles/{role}") == name);
        if let Some(role) = built_in {
            return self.built_in(*role);
        }
        let parent = parent_of(name);
        let stored = self.roles.iter().find(|(stored, _)| stored == name);
        let permissions = stored.and_then(|(_, document)| {
            let document = serde_json::from_str::<serde_json::Value>(document).ok()?;
            (document["version"] == 1).then_some(())?;
            serde_json::from_value::<Vec<String>>(document["permissions"].clone()).ok()
        });
        let permissions = permissions.into_iter().flatten();
        permissions
            .filter(|held| is_known(held) && level(held) >= depth(parent))
            .collect()
    }

    fn built_in(&self, role: SystemRole) -> BTreeSet<String> {
        let texts = |role: SystemRole| {
            let permissions = role.permissions().iter();
            permissions
                .map(|permission| permission.to_string())
                .collect::<BTreeSet<_>>()
        };
        // What the role holds by itself, and then what is true here of those that it includes.
        let mut held = texts(role);
        for included in role.includes() {
            held = &held - &texts(*included);
        }
        for included in role.includes() {
            held.extend(self.built_in(*included));
        }
        let changes = self.changes.iter().filter(|(of, permission, held)| {
            let (lowest, _) = of.split_once('_').unwrap_or_default();
            let lowest = match lowest {
                "SYSTEM" => 0,
                "WORKSPACE" => 1,
                _ => 2,
            };
            let last = (of.as_str(), permission.as_str(), *held)
                == ("SYSTEM_ADMIN", "system.iam.update", false);
            *of == role.to_string() && is_known(permission) && level(permission) >= lowest && !last
        });
        for (_, permission, holds) in changes {
            if *holds {
                held.insert(permission.clone());
            } else {
                held.remove(permission);
            }
        }
        held
    }
}

/// Whether a resource is another one or below it.
pub(super) fn is_within(resource: &str, scope: &str) -> bool {
    scope == "system" || resource == scope || resource.starts_with(&format!("{scope}/"))
}

fn parent_of(role: &str) -> &str {
    role.rsplit_once("/roles/")
        .map_or("system", |(parent, _)| parent)
}

/// 0 for the system, 1 for a workspace, 2 for a Deployment.
fn depth(resource: &str) -> usize {
    match resource {
        "system" => 0,
        _ => resource.matches('/').count().div_ceil(2),
    }
}

fn level(permission: &str) -> usize {
    match permission.split_once('.') {
        Some(("system", _)) => 0,
        Some(("workspace", _)) => 1,
        _ => 2,
    }
}

/// Whether it is a permission that somebody other than a service can have.
fn is_known(permission: &str) -> bool {
    let services_only = [
        "system.rollbacks.write",
        "system.permits.issue",
        "system.permissions.check",
    ];
    let known = Permission::ALL
        .iter()
        .any(|known| known.as_str() == permission);
    known && !services_only.contains(&permission)
}
