use model::roles::SystemRole;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::decision::{Denied, Expired, Granted};

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn binding(id: u128, principal: &str, role: &str, resource: &str) -> BindingRow {
    BindingRow {
        id: RoleBindingId::new(Uuid::from_u128(id)),
        resource: resource.to_owned(),
        principal: principal.to_owned(),
        role: role.to_owned(),
        expire_time: None,
    }
}

fn role(name: &str, permissions: &[&str]) -> RoleRow {
    RoleRow {
        name: name.to_owned(),
        permissions: Some(permissions.iter().map(|text| (*text).to_owned()).collect()),
    }
}

fn build(roles: Vec<RoleRow>, bindings: Vec<BindingRow>) -> (Index, Vec<String>) {
    world(PolicyRows {
        revision: PolicyRevision(3),
        built_in_role_changes: Vec::new(),
        roles,
        bindings,
        revoked: Vec::new(),
    })
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

fn is_allowed(decision: &Decision) -> bool {
    match decision {
        Decision::Allowed(_) => true,
        Decision::Denied(_) => false,
    }
}

fn ask(index: &Index, subject: &Subject, permission: &str, resource: &str) -> Decision {
    index.decide(
        subject,
        permission.parse().unwrap(),
        &resource.parse().unwrap(),
        NOW,
    )
}

#[test]
fn the_answer_names_the_narrowest_binding_and_the_person_before_the_groups() {
    let (index, flaws) = build(
        vec![role("workspaces/w/roles/pusher", &["deployment.dags.push"])],
        vec![
            binding(1, "group:data", "roles/DEPLOYMENT_EDITOR", "system"),
            binding(
                2,
                "group:data",
                "workspaces/w/roles/pusher",
                "workspaces/w/deployments/d",
            ),
            binding(
                3,
                "user:ann",
                "roles/DEPLOYMENT_ADMIN",
                "workspaces/w/deployments/d",
            ),
        ],
    );
    assert_eq!(flaws, [""; 0]);
    assert_eq!(index.revision(), PolicyRevision(3));

    let granted_by = |principal, groups: &[&str], permission, resource| match ask(
        &index,
        &subject(principal, groups),
        permission,
        resource,
    ) {
        Decision::Allowed(Granted::ByBinding {
            principal,
            role,
            binding,
            expire_time: None,
        }) => {
            format!("{principal} {role} {binding}")
        }
        other @ (Decision::Allowed(_) | Decision::Denied(_)) => format!("{other:?}"),
    };
    let id = |id| Uuid::from_u128(id);
    let deployment = "workspaces/w/deployments/d";
    assert_eq!(
        granted_by(
            "user:ann",
            &["group:data"],
            "deployment.dags.push",
            deployment
        ),
        format!(
            "user:ann roles/DEPLOYMENT_ADMIN {deployment}/roleBindings/{}",
            id(3)
        )
    );
    assert_eq!(
        granted_by(
            "user:bob",
            &["group:data"],
            "deployment.dags.push",
            deployment
        ),
        format!(
            "group:data workspaces/w/roles/pusher {deployment}/roleBindings/{}",
            id(2)
        )
    );
    assert_eq!(
        granted_by(
            "user:bob",
            &["group:data"],
            "deployment.images.push",
            deployment
        ),
        format!("group:data roles/DEPLOYMENT_EDITOR roleBindings/{}", id(1))
    );
}

#[test]
fn a_denial_says_what_is_missing_and_where_it_was_looked_for() {
    let (index, _) = build(vec![], vec![]);
    let text = |principal, groups: &[&str], resource| match ask(
        &index,
        &subject(principal, groups),
        "deployment.dags.push",
        resource,
    ) {
        Decision::Denied(denied) => denied.to_string(),
        Decision::Allowed(granted) => panic!("{granted}"),
    };
    assert_eq!(
        text("user:bob", &[], "system"),
        "no role with deployment.dags.push is bound to user:bob on system"
    );
    assert_eq!(
        text("user:bob", &["group:a", "group:b"], "workspaces/w"),
        "no role with deployment.dags.push is bound to user:bob or to one of 2 groups of theirs \
         on workspaces/w or above it"
    );
    assert_eq!(
        text("service:rollback-orchestrator", &[], "workspaces/w"),
        "service:rollback-orchestrator does not have deployment.dags.push by configuration"
    );
}

#[test]
fn a_service_has_what_the_configuration_says_and_never_what_a_binding_says() {
    let orchestrator = "service:rollback-orchestrator";
    let (index, flaws) = build(
        vec![],
        vec![binding(1, orchestrator, "roles/SYSTEM_ADMIN", "system")],
    );
    assert_eq!(flaws.len(), 1);
    let subject = subject(orchestrator, &[]);
    let decision = ask(
        &index,
        &subject,
        "system.permits.issue",
        "workspaces/w/deployments/d",
    );
    assert_eq!(
        decision,
        Decision::Allowed(Granted::ByConfiguration {
            principal: subject.principal.clone()
        })
    );
    assert!(!is_allowed(&ask(
        &index,
        &subject,
        "system.iam.update",
        "system"
    )));
    assert_eq!(
        index.held(&subject, &ResourceName::System, NOW),
        model::names::ServiceName::RollbackOrchestrator.permissions()
    );
}

#[test]
fn what_cannot_be_read_grants_nothing_and_is_told() {
    let bob = subject("user:bob", &[]);
    let cases = [
        // A role that nobody has made, and one whose name is none.
        (vec![], binding(1, "user:bob", "roles/nobody", "system"), 1),
        (vec![], binding(1, "user:bob", "roles/NOBODY", "system"), 1),
        // Names that are none.
        (vec![], binding(1, "bob", "roles/SYSTEM_ADMIN", "system"), 1),
        (
            vec![],
            binding(1, "user:bob", "roles/SYSTEM_ADMIN", "systems"),
            1,
        ),
        // A built-in role where it means nothing, and a custom role of somewhere else.
        (
            vec![],
            binding(1, "user:bob", "roles/SYSTEM_ADMIN", "workspaces/w"),
            1,
        ),
        (
            vec![role("workspaces/v/roles/r", &["deployment.dags.push"])],
            binding(1, "user:bob", "workspaces/v/roles/r", "workspaces/w"),
            1,
        ),
        // Permissions that do not exist, or that no role at that level may hold.
        (
            vec![role(
                "roles/r",
                &["deployment.dags.pull", "system.permits.issue"],
            )],
            binding(1, "user:bob", "roles/r", "system"),
            2,
        ),
        (
            vec![role("workspaces/w/roles/r", &["system.iam.update"])],
            binding(1, "user:bob", "workspaces/w/roles/r", "workspaces/w"),
            1,
        ),
        // A document of a later release.
        (
            vec![RoleRow {
                name: "roles/r".to_owned(),
                permissions: None,
            }],
            binding(1, "user:bob", "roles/r", "system"),
            1,
        ),
        // A role that takes the place of one that is built in does not change it.
        (
            vec![role("roles/DEPLOYMENT_AGENT", &["system.iam.update"])],
            binding(1, "user:nobody", "roles/DEPLOYMENT_AGENT", "system"),
            1,
        ),
    ];
    for (roles, binding, told) in cases {
        let text = format!("{roles:?} {binding:?}");
        let (index, flaws) = build(roles, vec![binding]);
        assert_eq!(flaws.len(), told, "{text}: {flaws:?}");
        for resource in ["system", "workspaces/w", "workspaces/w/deployments/d"] {
            let held = index.held(&bob, &resource.parse().unwrap(), NOW);
            assert_eq!(held, PermissionSet::EMPTY, "{text}");
        }
    }
}

#[test]
fn a_role_that_can_be_read_in_part_grants_that_part() {
    let (index, flaws) = build(
        vec![role(
            "roles/r",
            &["deployment.dags.push", "deployment.future.do"],
        )],
        vec![binding(1, "user:bob", "roles/r", "system")],
    );
    assert_eq!(
        flaws,
        ["role roles/r holds what it cannot: deployment.future.do"]
    );
    let held = index.held(&subject("user:bob", &[]), &ResourceName::System, NOW);
    assert_eq!(held, PermissionSet::of(&[Permission::DeploymentDagsPush]));
    assert!(!index.role(&"roles/r".parse().unwrap()).unwrap().complete);
}

fn world(rows: PolicyRows) -> (Index, Vec<String>) {
    let (index, flaws) = Index::build(rows);
    (index, flaws.iter().map(ToString::to_string).collect())
}

fn change(role: &str, permission: &str, held: bool) -> BuiltInRoleChangeRow {
    BuiltInRoleChangeRow {
        role: role.to_owned(),
        permission: permission.to_owned(),
        held,
    }
}

fn changed(changes: Vec<BuiltInRoleChangeRow>) -> (Index, Vec<String>) {
    world(PolicyRows {
        revision: PolicyRevision(3),
        built_in_role_changes: changes,
        roles: Vec::new(),
        bindings: vec![binding(
            1,
            "user:bob",
            "roles/DEPLOYMENT_ADMIN",
            "workspaces/w",
        )],
        revoked: Vec::new(),
    })
}

#[test]
fn a_changed_built_in_role_gives_what_it_holds_here() {
    let bob = subject("user:bob", &[]);
    let (index, flaws) = changed(vec![
        change("DEPLOYMENT_EDITOR", "deployment.images.push", false),
        change("WORKSPACE_VIEWER", "deployment.dags.push", true),
    ]);
    assert_eq!(flaws, [""; 0]);
    let workspace = "workspaces/w";
    assert!(!is_allowed(&ask(
        &index,
        &bob,
        "deployment.images.push",
        workspace
    )));
    assert!(is_allowed(&ask(
        &index,
        &bob,
        "deployment.dags.push",
        workspace
    )));
    let images = PermissionSet::of(&[Permission::DeploymentImagesPush]);
    let dags = PermissionSet::of(&[Permission::DeploymentDagsPush]);
    for (role, added, removed) in [
        (
            "DEPLOYMENT_VIEWER",
            PermissionSet::EMPTY,
            PermissionSet::EMPTY,
        ),
        ("DEPLOYMENT_EDITOR", PermissionSet::EMPTY, images),
        ("WORKSPACE_ADMIN", PermissionSet::EMPTY, images),
        ("WORKSPACE_EDITOR", dags, PermissionSet::EMPTY),
        ("SYSTEM_VIEWER", dags, PermissionSet::EMPTY),
    ] {
        let name = format!("roles/{role}").parse().unwrap();
        let found = index.role(&name).unwrap();
        assert_eq!((found.added(), found.removed()), (added, removed), "{role}");
        assert!(found.complete);
    }
}

#[test]
fn a_change_of_a_built_in_role_that_cannot_be_read_gives_and_takes_nothing() {
    let defaults = |index: &Index| {
        SystemRole::ALL.iter().all(|role| {
            let found = index.role(&RoleName::built_in(*role)).unwrap();
            found.permissions == role.permissions()
        })
    };
    let complete =
        |index: &Index, role: SystemRole| index.role(&RoleName::built_in(role)).unwrap().complete;
    for (row, admin_complete) in [
        // Whom it is for is not known.
        (change("DEPLOYMENT_GOD", "deployment.dags.push", true), true),
        // Something that a later release knows may be held, by whoever includes the role too.
        (
            change("DEPLOYMENT_EDITOR", "deployment.future.do", true),
            false,
        ),
        (
            change("DEPLOYMENT_EDITOR", "deployment.future.do", false),
            true,
        ),
        // What no such role holds, whatever is stored.
        (
            change("DEPLOYMENT_EDITOR", "system.permits.issue", true),
            false,
        ),
        (
            change("DEPLOYMENT_EDITOR", "workspace.iam.update", true),
            false,
        ),
        (change("SYSTEM_ADMIN", "system.iam.update", false), true),
    ] {
        let text = format!("{row:?}");
        let (index, flaws) = changed(vec![row]);
        assert_eq!(flaws.len(), 1, "{text}: {flaws:?}");
        assert!(defaults(&index), "{text}");
        assert_eq!(
            complete(&index, SystemRole::DeploymentAdmin),
            admin_complete,
            "{text}"
        );
        assert!(complete(&index, SystemRole::DeploymentViewer), "{text}");
    }
}

fn denied(index: &Index, subject: &Subject, permission: &str, resource: &str) -> Denied {
    match ask(index, subject, permission, resource) {
        Decision::Denied(denied) => denied,
        Decision::Allowed(granted) => panic!("{granted}"),
    }
}

#[test]
fn a_denial_names_roles_that_would_bring_the_permission_there() {
    let push = "deployment.dags.push";
    let later = &[push, "deployment.future.do"];
    let (index, _) = build(
        vec![
            role("roles/shipper", &[push]),
            role("roles/wide", &[push, "workspace.config.get"]),
            role("workspaces/w/roles/pusher", &[push, "deployment.logs.get"]),
            role("workspaces/w/roles/reader", &["deployment.logs.get"]),
            role("workspaces/w/roles/later", later),
            role("workspaces/w/deployments/d/roles/own", &[push]),
            role("workspaces/v/roles/elsewhere", &[push]),
        ],
        vec![
            binding(1, "user:ann", "roles/DEPLOYMENT_VIEWER", "system"),
            binding(2, "group:w", "roles/WORKSPACE_VIEWER", "workspaces/w"),
            binding(
                3,
                "user:cat",
                "roles/DEPLOYMENT_AGENT",
                "workspaces/w/deployments/d",
            ),
            BindingRow {
                expire_time: Some(0),
                ..binding(4, "user:dan", "roles/DEPLOYMENT_VIEWER", "system")
            },
        ],
    );
    let built_in = ["roles/DEPLOYMENT_EDITOR", "roles/DEPLOYMENT_ADMIN"];
    let deployment = "workspaces/w/deployments/d";
    let own = "workspaces/w/deployments/d/roles/own";
    let pusher = "workspaces/w/roles/pusher";
    let cases: [(&str, &[&str], &str, &[&str]); 8] = [
        // Nobody whom the policy knows: nothing custom is told.
        ("user:bob", &[], deployment, &built_in),
        ("user:dan", &[], deployment, &built_in),
        (
            "user:ann",
            &[],
            deployment,
            &["roles/shipper", own, pusher, built_in[0], built_in[1]],
        ),
        (
            "user:bob",
            &["group:w"],
            deployment,
            &[own, pusher, built_in[0], built_in[1]],
        ),
        (
            "user:cat",
            &[],
            deployment,
            &[own, built_in[0], built_in[1]],
        ),
        // Wider roles have a meaning on wider resources.
        (
            "user:ann",
            &[],
            "workspaces/w",
            &[
                "roles/shipper",
                "roles/wide",
                pusher,
                built_in[0],
                built_in[1],
                "roles/WORKSPACE_ADMIN",
            ],
        ),
        (
            "user:bob",
            &[],
            "system",
            &[
                built_in[0],
                built_in[1],
                "roles/SYSTEM_EDITOR",
                "roles/WORKSPACE_ADMIN",
                "roles/SYSTEM_ADMIN",
            ],
        ),
        // A service gets nothing by roles.
        ("service:deploy-registry", &[], deployment, &[]),
    ];
    for (principal, groups, resource, expected) in cases {
        let subject = subject(principal, groups);
        let roles = denied(&index, &subject, push, resource).roles;
        let names: Vec<_> = roles.iter().map(ToString::to_string).collect();
        assert_eq!(names, expected, "{principal} on {resource}");
    }
    let bob = subject("user:bob", &[]);
    let none = denied(&index, &bob, "system.permits.issue", "system").roles;
    assert_eq!(none, []);
    // It has a meaning on the system only.
    let none = denied(&index, &bob, "system.iam.update", "workspaces/w").roles;
    assert_eq!(none, []);
}

#[test]
fn a_denial_names_ten_roles_at_most_those_that_hold_the_least() {
    let names = (0..30).map(|number| format!("roles/r{number:02}"));
    let permissions = |name: &str| {
        if name.ends_with('0') {
            vec!["deployment.dags.push"]
        } else {
            vec!["deployment.dags.push", "deployment.logs.get"]
        }
    };
    let roles = names.map(|name| role(&name, &permissions(&name))).collect();
    let ann = vec![binding(1, "user:ann", "roles/DEPLOYMENT_VIEWER", "system")];
    let (index, _) = build(roles, ann);
    let ann = subject("user:ann", &[]);
    let roles = denied(&index, &ann, "deployment.dags.push", "workspaces/w").roles;
    let names: Vec<_> = roles.iter().map(|role| role.id().to_owned()).collect();
    assert_eq!(
        names,
        [
            "r00", "r10", "r20", "r01", "r02", "r03", "r04", "r05", "r06", "r07"
        ]
    );
}

#[test]
fn a_denial_tells_of_the_binding_that_expired_last() {
    let expiring = |id, principal, resource, expire_time| BindingRow {
        expire_time: Some(expire_time),
        ..binding(id, principal, "roles/DEPLOYMENT_EDITOR", resource)
    };
    let second = 1_000_000;
    let (index, _) = build(
        vec![],
        vec![
            expiring(1, "user:bob", "workspaces/w/deployments/d", second),
            expiring(2, "group:data", "workspaces/w", 3 * second),
            expiring(3, "user:bob", "system", 2 * second),
        ],
    );
    let bob = subject("user:bob", &["group:data"]);
    let ask = |permission: &str, seconds| {
        let now = DateTime::from_timestamp(seconds, 0).unwrap();
        let deployment = "workspaces/w/deployments/d".parse().unwrap();
        match index.decide(&bob, permission.parse().unwrap(), &deployment, now) {
            Decision::Denied(denied) => (denied.expired.clone(), denied.to_string()),
            Decision::Allowed(granted) => (None, granted.to_string()),
        }
    };
    let (expired, text) = ask("deployment.dags.push", 3);
    assert_eq!(
        expired,
        Some(Expired {
            principal: "group:data".parse().unwrap(),
            role: "roles/DEPLOYMENT_EDITOR".parse().unwrap(),
            binding: model::names::RoleBindingName::new(
                "workspaces/w".parse().unwrap(),
                RoleBindingId::new(Uuid::from_u128(2))
            ),
            expire_time: DateTime::from_timestamp(3, 0).unwrap(),
        })
    );
    assert_eq!(
        text,
        "no role with deployment.dags.push is bound to user:bob or to a group of theirs on \
         workspaces/w/deployments/d or above it; roles/DEPLOYMENT_EDITOR was bound to group:data on \
         workspaces/w until 1970-01-01T00:00:03Z"
    );
    assert_eq!(
        ask("deployment.dags.push", 2).1,
        "roles/DEPLOYMENT_EDITOR is bound to group:data on workspaces/w"
    );
    // Something that none of them gave.
    assert_eq!(ask("deployment.airflow.admin", 3).0, None);
}

#[test]
fn a_binding_gives_nothing_from_its_expire_time_on() {
    let expiring = BindingRow {
        expire_time: Some(100),
        ..binding(1, "user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w")
    };
    let wider = binding(2, "user:bob", "roles/DEPLOYMENT_VIEWER", "system");
    let (index, flaws) = build(vec![], vec![expiring, wider]);
    assert_eq!(flaws, [""; 0]);
    let bob = subject("user:bob", &[]);
    let workspace = "workspaces/w".parse().unwrap();
    let expire_time = DateTime::from_timestamp_micros(100).unwrap();
    for (micros, holds) in [(0, true), (99, true), (100, false), (101, false)] {
        let now = DateTime::from_timestamp_micros(micros).unwrap();
        let decision = index.decide(&bob, Permission::DeploymentDagsPush, &workspace, now);
        assert_eq!(is_allowed(&decision), holds, "{micros}");
        let held = index.held(&bob, &workspace, now);
        assert_eq!(held.contains(Permission::DeploymentDagsPush), holds);
        let holdings = index.holdings(&bob.principal, now).count();
        assert_eq!(holdings, if holds { 2 } else { 1 });

        // What both bindings give is told to come from the one that still holds.
        let decision = index.decide(&bob, Permission::DeploymentConfigGet, &workspace, now);
        let Decision::Allowed(Granted::ByBinding {
            expire_time: told, ..
        }) = decision
        else {
            panic!("{decision:?}");
        };
        assert_eq!(told, holds.then_some(expire_time));
    }
}

#[test]
fn a_binding_that_expires_at_no_time_that_there_is_gives_nothing() {
    let never = BindingRow {
        expire_time: Some(i64::MAX),
        ..binding(1, "user:bob", "roles/SYSTEM_ADMIN", "system")
    };
    let (index, flaws) = build(vec![], vec![never]);
    assert_eq!(flaws.len(), 1, "{flaws:?}");
    let held = index.held(&subject("user:bob", &[]), &ResourceName::System, NOW);
    assert_eq!(held, PermissionSet::EMPTY);
}

#[test]
fn a_revoked_token_is_known() {
    let token = |id| TokenId(Uuid::from_u128(id));
    let (index, _) = world(PolicyRows {
        revision: PolicyRevision(3),
        built_in_role_changes: Vec::new(),
        roles: Vec::new(),
        bindings: Vec::new(),
        revoked: vec![token(7)],
    });
    assert!(index.revoked(token(7)));
    assert!(!index.revoked(token(8)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_stored_text_panics(
        roles in prop::collection::vec((".{0,12}", prop::option::of(prop::collection::vec(".{0,8}", 0..3))), 0..4),
        bindings in prop::collection::vec((".{0,12}", ".{0,12}", ".{0,12}"), 0..4),
    ) {
        let roles = roles.into_iter().map(|(name, permissions)| RoleRow { name, permissions }).collect();
        let bindings = (1..)
            .zip(bindings)
            .map(|(id, (principal, role, resource))| binding(id, &principal, &role, &resource))
            .collect();
        let (index, _) = build(roles, bindings);
        prop_assert_eq!(index.revision(), PolicyRevision(3));
    }
}
