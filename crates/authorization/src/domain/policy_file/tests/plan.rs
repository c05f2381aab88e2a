use chrono::{DateTime, TimeDelta, Utc};

use super::super::*;
use super::now;
use super::world::World;

/// A file named `platform`.
fn file(rest: &str) -> PolicyFile {
    named("platform", rest)
}

fn named(name: &str, rest: &str) -> PolicyFile {
    PolicyFile::read(&format!("version: 1\nname: {name}\n{rest}"), now()).unwrap()
}

fn day(days: i64) -> DateTime<Utc> {
    now() + TimeDelta::days(days)
}

fn apply(world: &mut World, rest: &str) -> Vec<String> {
    world.apply(&file(rest), now()).unwrap()
}

fn refused(world: &mut World, rest: &str) -> Refused {
    world.apply(&file(rest), now()).unwrap_err()
}

const ON_CALL: &str = "\
roles:
- {name: workspaces/w/roles/on-call, display_name: On call, permissions: [deployment.dags.push]}
role_bindings:
- {resource: workspaces/w, principal: 'group:night', role: workspaces/w/roles/on-call}
- {resource: system, principal: 'user:bob', role: roles/SYSTEM_VIEWER, expire_time: 2026-06-02T00:00:00Z}
";

#[test]
fn what_is_missing_is_created_and_a_second_time_nothing_is() {
    let mut world = World::first();
    assert_eq!(
        apply(&mut world, ON_CALL),
        [
            "+ workspaces/w/roles/on-call: deployment.dags.push",
            "+ user:bob roles/SYSTEM_VIEWER system until 2026-06-02",
            "+ group:night workspaces/w/roles/on-call workspaces/w",
        ]
    );
    let after = world.clone();
    assert_eq!(apply(&mut world, ON_CALL), [""; 0]);
    assert_eq!(world.current, after.current);
    let managed = world.current.bindings.values();
    let managed = managed.filter(|binding| binding.managed_by.is_some());
    assert_eq!(managed.count(), 2);
}

#[test]
fn what_differs_is_changed() {
    let mut world = World::first();
    apply(&mut world, ON_CALL);
    for (changed, expected) in [
        (
            ON_CALL.replace("dags.push", "images.push"),
            "~ workspaces/w/roles/on-call: +deployment.images.push -deployment.dags.push",
        ),
        (
            ON_CALL.replace("On call", "By night"),
            "~ workspaces/w/roles/on-call:",
        ),
        (
            ON_CALL.replace("On call,", "On call, description: by night,"),
            "~ workspaces/w/roles/on-call:",
        ),
        (
            ON_CALL.replace("06-02", "06-03"),
            "~ user:bob roles/SYSTEM_VIEWER system until 2026-06-03",
        ),
        (
            ON_CALL.replace(", expire_time: 2026-06-02T00:00:00Z", ""),
            "~ user:bob roles/SYSTEM_VIEWER system",
        ),
    ] {
        let mut world = world.clone();
        assert_eq!(apply(&mut world, &changed), [expected]);
        assert_eq!(apply(&mut world, &changed), [""; 0]);
    }
}

#[test]
fn what_the_file_does_not_say_any_more_is_deleted_and_all_else_is_left_alone() {
    let mut world = World::first();
    world.role("roles/by-hand", &["deployment.logs.get"], None);
    world.bind("user:eve", "roles/by-hand", "system", None, None);
    world.role("roles/other", &["deployment.logs.get"], Some("other"));
    world.bind("user:eve", "roles/other", "system", None, Some("other"));
    let before = world.current.clone();
    apply(&mut world, ON_CALL);
    assert_eq!(
        apply(&mut world, ""),
        [
            "- user:bob roles/SYSTEM_VIEWER system until 2026-06-02",
            "- group:night workspaces/w/roles/on-call workspaces/w",
            "- workspaces/w/roles/on-call",
        ]
    );
    assert_eq!(world.current, before);
    assert_eq!(apply(&mut world, ""), [""; 0]);
}

#[test]
fn what_stands_in_the_file_is_taken_over_as_it_is() {
    let mut world = World::first();
    world.role(
        "workspaces/w/roles/on-call",
        &["deployment.dags.push"],
        None,
    );
    world.bind(
        "group:night",
        "workspaces/w/roles/on-call",
        "workspaces/w",
        None,
        None,
    );
    let rest = ON_CALL.replace(", display_name: On call", "");
    let before = world.current.clone();
    assert_eq!(
        apply(&mut world, &rest),
        [
            "~ workspaces/w/roles/on-call:",
            "+ user:bob roles/SYSTEM_VIEWER system until 2026-06-02",
            "~ group:night workspaces/w/roles/on-call workspaces/w",
        ]
    );
    for (key, binding) in &before.bindings {
        assert_eq!(world.current.bindings.get(key).unwrap().name, binding.name);
    }
    assert_eq!(apply(&mut world, &rest), [""; 0]);
    assert_eq!(apply(&mut world, "").len(), 3);
}

#[test]
fn a_binding_whose_time_has_come_is_absent_and_never_a_mistake() {
    let mut world = World::first();
    let mut fresh = world.clone();
    assert_eq!(fresh.apply(&file(ON_CALL), day(1)).unwrap().len(), 2);

    apply(&mut world, ON_CALL);
    let gone = world.apply(&file(ON_CALL), day(1)).unwrap();
    assert_eq!(
        gone,
        ["- user:bob roles/SYSTEM_VIEWER system until 2026-06-02"]
    );
    assert_eq!(world.apply(&file(ON_CALL), day(2)).unwrap(), [""; 0]);

    // Its role need not be there any more, and what somebody else has made is left alone.
    let old = "role_bindings: [{resource: system, principal: 'user:bob', role: roles/gone, expire_time: 2026-01-01T00:00:00Z}]";
    let mut world = World::first();
    world.bind("user:bob", "roles/gone", "system", None, None);
    assert_eq!(apply(&mut world, old), [""; 0]);
}

#[test]
fn a_binding_that_has_expired_comes_back_with_a_later_time() {
    let mut world = World::first();
    world.bind(
        "user:bob",
        "roles/SYSTEM_VIEWER",
        "system",
        Some(day(-1)),
        None,
    );
    let rest = "role_bindings: [{resource: system, principal: 'user:bob', role: roles/SYSTEM_VIEWER, expire_time: 2026-06-02T00:00:00Z}]";
    assert_eq!(
        apply(&mut world, rest),
        ["~ user:bob roles/SYSTEM_VIEWER system until 2026-06-02"]
    );
}

#[test]
fn built_in_roles_hold_what_the_file_says_and_so_do_those_that_include_them() {
    let mut world = World::first();
    let no_images =
        "built_in_roles: {DEPLOYMENT_EDITOR: {permissions: {deployment.images.push: false}}}";
    let without = |role: &str| format!("~ {role}: -deployment.images.push");
    assert_eq!(
        apply(&mut world, no_images),
        [
            without("DEPLOYMENT_EDITOR"),
            without("DEPLOYMENT_ADMIN"),
            without("WORKSPACE_ADMIN"),
            without("SYSTEM_EDITOR"),
            without("SYSTEM_ADMIN"),
        ]
    );
    assert_eq!(apply(&mut world, no_images), [""; 0]);
    // What has no effect is said all the same.
    let again = "built_in_roles: {DEPLOYMENT_VIEWER: {permissions: {deployment.logs.get: true}}}";
    let changes = world.apply(&named("other", again), now()).unwrap();
    assert_eq!(changes, ["~ DEPLOYMENT_VIEWER:"]);
    let changes = apply(&mut world, "");
    assert_eq!(changes.len(), 5);
    assert_eq!(changes[0], "~ DEPLOYMENT_EDITOR: +deployment.images.push");
    assert_eq!(world.current.built_in_roles.len(), 1);
}

#[test]
fn what_another_file_brings_is_refused() {
    let mut world = World::first();
    world.apply(&named("other", ON_CALL), now()).unwrap();
    let entry =
        "built_in_roles: {DEPLOYMENT_EDITOR: {permissions: {deployment.images.push: false}}}\n";
    let rest = format!("{entry}{ON_CALL}");
    world.apply(&named("other", &rest), now()).unwrap();
    let before = world.clone();
    let (roles, bindings) = ON_CALL.split_once("role_bindings").unwrap();
    let bindings = format!("role_bindings{bindings}");
    for rest in [
        entry.to_owned(),
        entry.replace("false", "true"),
        roles.to_owned(),
        roles.replace("dags", "images"),
        bindings,
    ] {
        let Refused::ManagedByAnother { name: _, file } = refused(&mut world, &rest) else {
            panic!("{rest}");
        };
        assert_eq!(file.as_str(), "other");
    }
    assert_eq!(world.current, before.current);
    // Something else of the same role is its own.
    let editor =
        "built_in_roles: {DEPLOYMENT_EDITOR: {permissions: {deployment.dags.push: false}}}";
    assert_eq!(apply(&mut world, editor).len(), 5);
}

#[test]
fn a_role_that_others_have_bound_cannot_go() {
    let mut world = World::first();
    apply(&mut world, ON_CALL);
    let mut bound = world.clone();
    for principal in ["user:x", "user:y"] {
        bound.bind(
            principal,
            "workspaces/w/roles/on-call",
            "workspaces/w",
            None,
            None,
        );
    }
    let expected = Refused::RoleBound {
        role: "workspaces/w/roles/on-call".parse().unwrap(),
        bindings: 2,
    };
    assert_eq!(refused(&mut bound, ""), expected);

    // Bindings that have expired go with it.
    world.bind(
        "user:x",
        "workspaces/w/roles/on-call",
        "workspaces/w",
        Some(day(-1)),
        None,
    );
    assert_eq!(apply(&mut world, "").len(), 4);
}

#[test]
fn a_binding_of_a_role_that_is_not_there_or_does_not_fit_is_refused() {
    let binding = |role: &str, resource: &str| {
        format!("role_bindings:\n- {{resource: {resource}, principal: 'user:bob', role: {role}}}\n")
    };
    let mut world = World::first();
    for role in ["roles/none", "workspaces/w/roles/none"] {
        let Refused::UnknownRole { field, role: told } =
            refused(&mut world, &binding(role, "workspaces/w"))
        else {
            panic!("{role}");
        };
        assert_eq!(
            (field.as_str(), told.to_string().as_str()),
            ("role_bindings[0].role", role)
        );
    }
    for (role, resource) in [
        ("workspaces/v/roles/none", "workspaces/w"),
        ("roles/SYSTEM_VIEWER", "workspaces/w"),
        ("roles/WORKSPACE_EDITOR", "workspaces/w/deployments/d"),
    ] {
        let Refused::Unbindable(violations) = refused(&mut world, &binding(role, resource)) else {
            panic!("{role}");
        };
        let violations = violations.iter().collect::<Vec<_>>();
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].field, "role_bindings[0].role");
        assert_eq!(violations[0].place.line, 4);
    }
    // What the file says of the role counts, not what it held before.
    world.role("roles/r", &["workspace.config.get"], None);
    let narrow = format!(
        "roles: [{{name: roles/r, permissions: [deployment.logs.get]}}]\n{}",
        binding("roles/r", "workspaces/w/deployments/d")
    );
    assert_eq!(world.clone().apply(&file(&narrow), now()).unwrap().len(), 2);
    // A role that goes with this file cannot be bound by it.
    apply(
        &mut world,
        "roles: [{name: roles/mine, permissions: [deployment.logs.get]}]",
    );
    let gone = refused(&mut world, &binding("roles/mine", "system"));
    assert!(matches!(gone, Refused::UnknownRole { field: _, role: _ }));
}

#[test]
fn what_a_role_gains_must_fit_wherever_others_have_bound_it() {
    let mut world = World::first();
    world.role("roles/r", &["deployment.logs.get"], None);
    world.bind(
        "user:bob",
        "roles/r",
        "workspaces/w/deployments/d",
        None,
        None,
    );
    let wider = "roles: [{name: roles/r, permissions: [workspace.config.get]}]";
    let Refused::TooWide { binding, source: _ } = refused(&mut world, wider) else {
        panic!("not too wide")
    };
    assert_eq!(binding.principal.to_string(), "user:bob");
    let narrow = "roles: [{name: roles/r, permissions: [deployment.config.get]}]";
    assert_eq!(apply(&mut world, narrow).len(), 1);

    // A built-in role that holds less here can be bound further down, and not get it back.
    let viewer = model::roles::SystemRole::WorkspaceViewer;
    let none = viewer
        .permissions()
        .iter()
        .map(|permission| format!("{permission}: false"))
        .collect::<Vec<_>>();
    let none = format!(
        "built_in_roles: {{WORKSPACE_VIEWER: {{permissions: {{{}}}}}}}",
        none.join(", ")
    );
    apply(&mut world, &format!("{narrow}\n{none}"));
    world.bind(
        "user:bob",
        "roles/WORKSPACE_VIEWER",
        "workspaces/w/deployments/d",
        None,
        None,
    );
    assert!(matches!(
        refused(&mut world, narrow),
        Refused::TooWide {
            binding: _,
            source: _
        }
    ));
}

#[test]
fn the_last_administrator_stays() {
    let admin =
        "role_bindings: [{resource: system, principal: 'user:admin', role: roles/SYSTEM_ADMIN}]";
    let mut world = World::first();
    assert_eq!(apply(&mut world, admin).len(), 1);
    let expiring = admin.replace("ADMIN}", "ADMIN, expire_time: 2026-06-02T00:00:00Z}");
    let expired = admin.replace("ADMIN}", "ADMIN, expire_time: 2026-05-02T00:00:00Z}");
    let others = admin.replace("user:admin", "group:admins");
    for rest in ["", &expiring, &expired] {
        assert!(
            matches!(refused(&mut world, rest), Refused::LastAdministrator(_)),
            "{rest}"
        );
    }
    // Somebody else will do, but not one who expires.
    assert_eq!(world.clone().apply(&file(&others), now()).unwrap().len(), 2);
    world.bind("user:z", "roles/SYSTEM_ADMIN", "system", Some(day(9)), None);
    assert!(matches!(
        refused(&mut world, ""),
        Refused::LastAdministrator(_)
    ));
    world.bind("user:y", "roles/SYSTEM_ADMIN", "system", None, None);
    assert_eq!(apply(&mut world, "").len(), 1);
}

/// What somebody gains where.
fn gains(world: &World, rest: &str) -> Vec<String> {
    let shown = |Gain {
                     resource,
                     permissions,
                     expire_time: _,
                 }: &Gain| {
        let permissions = permissions.map_or("?".to_owned(), |set| set.to_string());
        format!("{resource}: {permissions}")
    };
    world.clone().planned(&file(rest), now(), |planned| {
        planned.gains().iter().map(shown).collect()
    })
}

#[test]
fn all_that_somebody_gains_is_told() {
    let mut world = World::first();
    assert_eq!(
        gains(
            &world,
            &ON_CALL.replace("roles/SYSTEM_VIEWER", "workspaces/w/roles/on-call")
        ),
        [
            "workspaces/w: deployment.dags.push",
            "system: deployment.dags.push",
            "workspaces/w: deployment.dags.push",
        ]
    );
    apply(&mut world, ON_CALL);
    for (changed, expected) in [
        (
            ON_CALL.replace("dags.push", "images.push"),
            vec!["workspaces/w: deployment.images.push"],
        ),
        (ON_CALL.replace("On call", "By night"), vec![]),
        // A binding gives its role for longer, or for less long.
        (ON_CALL.replace("06-02", "06-03"), vec!["system: *"]),
        (
            ON_CALL.replace(", expire_time: 2026-06-02T00:00:00Z", ""),
            vec!["system: *"],
        ),
        (ON_CALL.replace("06-02T00", "06-01T01"), vec![]),
        (String::new(), vec![]),
        // What a role that is built in gains, it has everywhere.
        (
            format!(
                "{ON_CALL}\nbuilt_in_roles: {{WORKSPACE_VIEWER: {{permissions: {{deployment.dags.push: true, workspace.users.get: false}}}}}}"
            ),
            vec!["system: deployment.dags.push"; 3],
        ),
    ] {
        let viewer = model::roles::SystemRole::SystemViewer.permissions();
        let all = format!("system: {viewer}");
        let gained = gains(&world, &changed);
        let gained = gained
            .iter()
            .map(|text| if *text == all { "system: *" } else { text });
        assert_eq!(gained.collect::<Vec<_>>(), expected, "{changed}");
    }
    // Taking over what is there gives nothing; nor can what cannot be read be given.
    world.role("roles/by-hand", &["deployment.logs.get"], None);
    world.bind("user:x", "roles/by-hand", "system", None, None);
    let taken =
        format!("{ON_CALL}- {{resource: system, principal: 'user:x', role: roles/by-hand}}");
    assert_eq!(gains(&world, &taken), [""; 0]);
    let unknown =
        format!("{ON_CALL}- {{resource: system, principal: 'user:x', role: roles/later}}");
    assert_eq!(gains(&world, &unknown), ["system: ?"]);
}
