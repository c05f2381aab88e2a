use chassis::convert::timestamp;
use proto::authorization::v1::{
    ApplyPolicyRequest, ApplyPolicyResponse, GetRoleRequest, ListPolicyChangesRequest,
    ListRoleBindingsRequest, PolicyChangeType,
};
use tokio::task::JoinSet;

use super::*;

const PLATFORM: &str = "\
version: 1
name: platform
built_in_roles:
  DEPLOYMENT_AGENT:
    permissions:
      deployment.metrics.get: true
roles:
- name: workspaces/data/roles/on-call
  display_name: On call
  permissions: [deployment.images.push, deployment.dags.push]
role_bindings:
- {resource: workspaces/data, principal: 'group:night', role: workspaces/data/roles/on-call}
- {resource: workspaces/data/deployments/d, principal: 'user:bob', role: roles/DEPLOYMENT_VIEWER}
";

/// A file named `data` that needs to administer `workspaces/data` only.
const DATA: &str = "\
version: 1
name: data
roles:
- {name: workspaces/data/roles/pusher, permissions: [deployment.dags.push]}
role_bindings:
- {resource: workspaces/data/deployments/d, principal: 'user:bob', role: workspaces/data/roles/pusher}
";

fn file(policy: &str) -> ApplyPolicyRequest {
    ApplyPolicyRequest {
        policy: policy.to_owned(),
        validate_only: false,
        reason: "the night shift needs it".to_owned(),
    }
}

fn dry_run(policy: &str) -> ApplyPolicyRequest {
    ApplyPolicyRequest {
        validate_only: true,
        ..file(policy)
    }
}

impl House {
    async fn apply(
        &self,
        user: &str,
        message: ApplyPolicyRequest,
    ) -> Result<ApplyPolicyResponse, Status> {
        let request = self.as_user(user, message);
        Ok(self.service.apply_policy(request).await?.into_inner())
    }

    async fn revision(&self) -> i64 {
        self.service.store.freshness(None).await.unwrap().revision.0
    }

    async fn allowed(&self, user: &str, groups: &[&str], permission: &str, on: &str) -> bool {
        let mut message = check(permission, on);
        message.consistency = fully_consistent();
        let request = self.request(&self.user_token(user, groups), message);
        let answer = self.service.check_permission(request).await.unwrap();
        answer.into_inner().decision.unwrap().allowed
    }
}

/// What a change did, to what.
fn told(changes: &[pb::PolicyChange]) -> Vec<(PolicyChangeType, String)> {
    changes
        .iter()
        .map(|change| {
            let name = match change.principal.as_str() {
                "" => change.name.clone(),
                principal => format!("{principal} {} {}", change.role, change.resource),
            };
            (change.r#type(), name)
        })
        .collect()
}

async fn a_file_is_applied_and_a_second_time_changes_nothing(db: TestDatabase) {
    let house = House::new(&db).await;
    let would = house.apply("admin", dry_run(PLATFORM)).await.unwrap();
    assert_eq!(house.revision().await, 1);
    assert_eq!(would.policy_revision, 1);
    let applied = house.apply("admin", file(PLATFORM)).await.unwrap();
    assert_eq!(applied.name, "platform");
    assert_eq!(applied.policy_revision, 2);
    assert_eq!(applied.change_count, 4);
    use PolicyChangeType::{BuiltInRoleChanged, RoleBindingCreated, RoleCreated};
    assert_eq!(
        told(&applied.changes),
        [
            (BuiltInRoleChanged, "roles/DEPLOYMENT_AGENT".to_owned()),
            (RoleCreated, "workspaces/data/roles/on-call".to_owned()),
            (
                RoleBindingCreated,
                "group:night workspaces/data/roles/on-call workspaces/data".to_owned()
            ),
            (
                RoleBindingCreated,
                "user:bob roles/DEPLOYMENT_VIEWER workspaces/data/deployments/d".to_owned()
            ),
        ]
    );
    for (change, would) in applied.changes.iter().zip(&would.changes) {
        assert_eq!(change.changed_by, "user:admin");
        assert_eq!(change.reason, "the night shift needs it");
        assert_eq!(change.managed_by, "platform");
        assert_eq!(change.policy_revision, 2);
        assert_eq!(change.change_time, Some(timestamp(house.now())));
        let would = pb::PolicyChange {
            policy_revision: 2,
            change_time: change.change_time,
            // A binding that is not made has no name yet.
            name: change.name.clone(),
            ..would.clone()
        };
        assert_eq!(would, *change);
    }

    let on = "workspaces/data/deployments/d";
    let pushing = "deployment.dags.push";
    assert!(house.allowed("ann", &["night"], pushing, on).await);
    assert!(house.allowed("bob", &[], "deployment.logs.get", on).await);
    for _ in 0..2 {
        house.pass(TimeDelta::hours(1));
        let again = house.apply("admin", file(PLATFORM)).await.unwrap();
        assert_eq!((again.change_count, again.policy_revision), (0, 2));
        assert!(again.changes.is_empty());
    }

    let recorded = ListPolicyChangesRequest {
        parent: "system".to_owned(),
        include_descendants: true,
        ..Default::default()
    };
    let recorded = house.as_user("admin", recorded);
    let recorded = house.service.list_policy_changes(recorded).await.unwrap();
    let mut recorded = recorded.into_inner().policy_changes;
    recorded.retain(|change| change.policy_revision == 2);
    recorded.reverse();
    assert_eq!(recorded, applied.changes);
}

async fn what_a_file_brings_carries_its_name_until_the_file_takes_it_away(db: TestDatabase) {
    let house = House::new(&db).await;
    house.apply("admin", file(PLATFORM)).await.unwrap();
    let role = |name: &str| {
        let name = name.to_owned();
        house.as_user("admin", GetRoleRequest { name })
    };
    let on_call = house
        .service
        .get_role(role("workspaces/data/roles/on-call"));
    let on_call = on_call.await.unwrap().into_inner().role.unwrap();
    assert_eq!(on_call.managed_by, "platform");
    assert_eq!(on_call.created_by, "user:admin");
    let agent = house.service.get_role(role("roles/DEPLOYMENT_AGENT")).await;
    let agent = agent.unwrap().into_inner().role.unwrap();
    assert_eq!(agent.added_permissions, ["deployment.metrics.get"]);
    let bindings = || async {
        let bindings = ListRoleBindingsRequest {
            parent: "workspaces/data".to_owned(),
            include_descendants: true,
            ..Default::default()
        };
        let bindings = house.as_user("admin", bindings);
        let bindings = house.service.list_role_bindings(bindings).await.unwrap();
        bindings.into_inner().role_bindings
    };
    assert_eq!(bindings().await.len(), 2);
    for binding in bindings().await {
        assert_eq!(binding.managed_by, "platform");
    }

    let gone = house
        .apply("admin", file("version: 1\nname: platform\n"))
        .await
        .unwrap();
    assert_eq!(gone.change_count, 4);
    assert_eq!(bindings().await, []);
    let agent = house.service.get_role(role("roles/DEPLOYMENT_AGENT")).await;
    let agent = agent.unwrap().into_inner().role.unwrap();
    assert_eq!(agent.added_permissions, [""; 0]);
    let on_call = house
        .service
        .get_role(role("workspaces/data/roles/on-call"))
        .await
        .unwrap_err();
    assert_eq!(reason(&on_call), ErrorReason::ResourceNotFound);
}

async fn calls_can_change_what_a_file_has_brought_and_the_file_makes_it_good(db: TestDatabase) {
    let house = House::new(&db).await;
    let applied = house.apply("admin", file(DATA)).await.unwrap();
    let binding = applied.changes.last().unwrap();
    house.unbind(&binding.name).await;
    let again = house.apply("admin", file(DATA)).await.unwrap();
    assert_eq!(told(&again.changes), [told(&applied.changes)[1].clone()]);
}

async fn only_who_administers_and_holds_what_the_file_gives_may_apply_it(db: TestDatabase) {
    use ErrorReason::{GrantExceedsOwnPermissions, PermissionMissing, ResourceNotFound};

    let house = House::new(&db).await;
    house
        .bind("user:owner", "roles/WORKSPACE_ADMIN", "workspaces/data")
        .await;
    house
        .bind("user:owner", "roles/WORKSPACE_EDITOR", "workspaces/ops")
        .await;
    house
        .create_role(
            "system",
            "only-roles",
            &["workspace.iam.update", "deployment.userRoles.update"],
        )
        .await;
    house
        .bind("user:hr", "roles/only-roles", "workspaces/data")
        .await;
    let revision = house.revision().await;
    let elsewhere = DATA.replace("workspaces/data", "workspaces/ml");
    let half = DATA.replace("workspaces/data", "workspaces/ops");
    let wider = format!(
        "{DATA}- {{resource: workspaces/data, principal: 'user:x', role: roles/WORKSPACE_ADMIN}}\n"
    );
    for (user, policy, expected) in [
        // Nobody at all, whatever the file is like.
        ("nobody", DATA, Some(PermissionMissing)),
        ("nobody", "not a file", Some(PermissionMissing)),
        ("owner", PLATFORM, Some(PermissionMissing)),
        ("owner", &elsewhere, Some(ResourceNotFound)),
        ("owner", &half, Some(PermissionMissing)),
        ("hr", DATA, Some(GrantExceedsOwnPermissions)),
        ("owner", &wider, None),
        ("owner", DATA, None),
    ] {
        let would = house.apply(user, dry_run(policy)).await;
        assert_eq!(
            would.as_ref().err().map(reason),
            expected,
            "{user}: {policy}"
        );
        if expected.is_some() {
            let refused = house.apply(user, file(policy)).await.unwrap_err();
            assert_eq!(Some(reason(&refused)), expected, "{user}: {policy}");
        }
        assert_eq!(house.revision().await, revision);
    }
    house.apply("owner", file(DATA)).await.unwrap();

    // Who holds less than a role gains, or than a binding gives for longer.
    house
        .bind("user:hr", "workspaces/data/roles/pusher", "workspaces/data")
        .await;
    let more = DATA.replace("dags.push]", "dags.push, deployment.images.push]");
    let less = DATA.replace("dags.push]", "logs.get]");
    for (policy, expected) in [
        (more.as_str(), Some(GrantExceedsOwnPermissions)),
        (&less, Some(GrantExceedsOwnPermissions)),
        (DATA, None),
        (
            "version: 1\nname: data\nroles: [{name: workspaces/data/roles/pusher, permissions: [deployment.dags.push]}]",
            None,
        ),
    ] {
        let would = house.apply("hr", dry_run(policy)).await;
        assert_eq!(would.err().as_ref().map(reason), expected, "{policy}");
    }
    let service = house.as_orchestrator(file(DATA));
    let refused = house.service.apply_policy(service).await.unwrap_err();
    assert_eq!(reason(&refused), PermissionMissing);
}

async fn a_file_of_others_can_neither_be_emptied_nor_seen_through(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:owner", "roles/WORKSPACE_ADMIN", "workspaces/data")
        .await;
    let secret = DATA.replace("workspaces/data", "workspaces/secret");
    house.apply("admin", file(&secret)).await.unwrap();
    let refused = house.apply("owner", file(DATA)).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::PermissionMissing);
    assert_eq!(metadata(&refused, "resource"), "system");
    assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    let refused = house.apply("owner", file(&secret)).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::ResourceNotFound);
}

async fn what_cannot_be_applied_is_told_and_changes_nothing(db: TestDatabase) {
    let house = House::new(&db).await;
    house.apply("admin", file(DATA)).await.unwrap();
    house
        .bind(
            "user:x",
            "workspaces/data/roles/pusher",
            "workspaces/data/deployments/e",
        )
        .await;
    let revision = house.revision().await;
    let unbound = "version: 1\nname: data\n";
    let wider = DATA.replace("dags.push]", "dags.push, workspace.users.get]");
    let wider = wider.split("role_bindings").next().unwrap();
    let other = DATA.replace("name: data", "name: other");
    let admin = "version: 1\nname: admins\nrole_bindings: [{resource: system, principal: 'user:admin', role: roles/SYSTEM_ADMIN, expire_time: 2024-01-01T00:00:00Z}]\n";
    let unknown = "version: 1\nname: a\nrole_bindings: [{resource: system, principal: 'user:x', role: roles/none}]";
    for (policy, expected, key, value) in [
        (unbound, ErrorReason::RoleBound, "role_bindings", "1"),
        (
            wider,
            ErrorReason::RoleTooWide,
            "role",
            "workspaces/data/roles/pusher",
        ),
        (
            &other,
            ErrorReason::ManagedByAnotherPolicy,
            "managed_by",
            "data",
        ),
        (admin, ErrorReason::LastAdministrator, "", ""),
        (unknown, ErrorReason::ResourceNotFound, "", ""),
    ] {
        for request in [dry_run(policy), file(policy)] {
            let refused = house.apply("admin", request).await.unwrap_err();
            assert_eq!(reason_of(&refused), Some(expected), "{refused:?}");
            if !key.is_empty() {
                assert_eq!(metadata(&refused, key), value);
            }
        }
    }
    let policy = "version: 1\nname: Platform\nroles: [{name: x, permissions: [fly]}]\n";
    let mut request = file(policy);
    request.reason = "x".repeat(501);
    let refused = house.apply("admin", request).await.unwrap_err();
    assert_eq!(
        fields(&refused),
        [
            "reason",
            "policy.name",
            "policy.roles[0].name",
            "policy.roles[0].permissions[0]"
        ]
    );
    assert!(
        refused
            .message()
            .contains("policy.name: line 2, column 7: an id has")
    );
    for broken in [
        "",
        "{",
        "version: 1\nname: a\nrole_bindings: [{resource: workspaces/w, principal: 'user:x', role: roles/SYSTEM_ADMIN}]",
    ] {
        let refused = house.apply("admin", file(broken)).await.unwrap_err();
        assert_eq!(fields(&refused).len(), 1);
    }
    assert_eq!(house.revision().await, revision);
}

async fn of_eight_replicas_one_applies_a_file(db: TestDatabase) {
    let house = House::new(&db).await;
    let mut racers = JoinSet::new();
    for _ in 0..8 {
        let replica = house.replica(&db).await;
        racers.spawn(async move { replica.apply("admin", file(PLATFORM)).await.unwrap() });
    }
    let answers = racers.join_all().await;
    let made = answers.iter().filter(|answer| answer.change_count > 0);
    assert_eq!(made.count(), 1);
    for answer in &answers {
        assert_eq!(answer.policy_revision, 2);
    }
    assert_eq!(house.revision().await, 2);
}

async fn a_large_file_is_applied_and_taken_away(db: TestDatabase) {
    let house = House::new(&db).await;
    let mut policy = "version: 1\nname: large\nrole_bindings:\n".to_owned();
    for number in 0..1_500 {
        policy.push_str(&format!(
            "- {{resource: workspaces/w, principal: 'user:u{number}', role: roles/WORKSPACE_VIEWER}}\n"
        ));
    }
    let applied = house.apply("admin", file(&policy)).await.unwrap();
    assert_eq!(
        (applied.changes.len(), applied.change_count),
        (1_000, 1_500)
    );
    assert!(
        house
            .allowed("u1499", &[], "workspace.users.get", "workspaces/w")
            .await
    );
    let gone = house
        .apply("admin", file("version: 1\nname: large\n"))
        .await
        .unwrap();
    assert_eq!(gone.change_count, 1_500);
}

chassis::on_both_databases! {
    crate::store::MIGRATIONS;
    a_file_is_applied_and_a_second_time_changes_nothing,
    what_a_file_brings_carries_its_name_until_the_file_takes_it_away,
    calls_can_change_what_a_file_has_brought_and_the_file_makes_it_good,
    only_who_administers_and_holds_what_the_file_gives_may_apply_it,
    a_file_of_others_can_neither_be_emptied_nor_seen_through,
    what_cannot_be_applied_is_told_and_changes_nothing,
    of_eight_replicas_one_applies_a_file,
    a_large_file_is_applied_and_taken_away,
}
