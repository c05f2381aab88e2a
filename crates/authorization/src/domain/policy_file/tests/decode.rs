use chrono::TimeDelta;

use super::super::*;
use super::now;

const WHOLE: &str = "\
version: 1
name: platform
built_in_roles:
  DEPLOYMENT_EDITOR:
    permissions:
      deployment.images.push: false
      deployment.deploys.report: true
roles:
  - name: workspaces/data/roles/on-call
    display_name: On call
    description: |
      Ships at night,
      and by day.
    permissions: [deployment.images.push, deployment.dags.push]
role_bindings:
  - resource: workspaces/data
    principal: group:data-oncall
    role: workspaces/data/roles/on-call
    expire_time: 2027-01-01T01:00:00.1234567+01:00
  - {resource: system, principal: 'user:ann', role: roles/SYSTEM_VIEWER}
";

#[test]
fn a_file_says_roles_bindings_and_what_built_in_roles_hold() {
    let PolicyFile {
        name,
        built_in_roles,
        roles,
        bindings,
    } = PolicyFile::read(WHOLE, now()).unwrap();
    assert_eq!(name.as_str(), "platform");
    assert_eq!(
        built_in_roles.into_iter().collect::<Vec<_>>(),
        [
            (
                (
                    SystemRole::DeploymentEditor,
                    Permission::DeploymentImagesPush
                ),
                false
            ),
            (
                (
                    SystemRole::DeploymentEditor,
                    Permission::DeploymentDeploysReport
                ),
                true
            ),
        ]
    );
    let on_call = FileRole {
        display_name: "On call".to_owned(),
        description: "Ships at night,\nand by day.\n".to_owned(),
        permissions: PermissionSet::of(&[
            Permission::DeploymentImagesPush,
            Permission::DeploymentDagsPush,
        ]),
    };
    assert_eq!(
        roles.into_iter().collect::<Vec<_>>(),
        [("workspaces/data/roles/on-call".parse().unwrap(), on_call)]
    );
    let bindings = bindings.into_iter().map(|(key, binding)| {
        let BindingKey {
            resource,
            principal,
            role,
        } = key;
        let FileBinding {
            expire_time,
            number,
            place,
        } = binding;
        let expire_time = expire_time.map(|time| time.to_rfc3339());
        (
            format!("{resource} {principal} {role}"),
            expire_time,
            number,
            place.line,
        )
    });
    assert_eq!(
        bindings.collect::<Vec<_>>(),
        [
            (
                "system user:ann roles/SYSTEM_VIEWER".to_owned(),
                None,
                1,
                20
            ),
            (
                "workspaces/data group:data-oncall workspaces/data/roles/on-call".to_owned(),
                Some("2027-01-01T00:00:00.123456+00:00".to_owned()),
                0,
                16
            ),
        ]
    );
}

#[test]
fn a_file_needs_only_version_and_name() {
    for rest in [
        "",
        "roles:\nrole_bindings: ~\nbuilt_in_roles: {}\n",
        "roles: []\n",
    ] {
        let text = format!("name: a\nversion: 1\n{rest}");
        let file = PolicyFile::read(&text, now()).unwrap();
        assert!(file.roles.is_empty() && file.bindings.is_empty(), "{text}");
    }
}

/// What is told about a file that begins well.
fn told(rest: &str) -> Vec<String> {
    let text = format!("version: 1\nname: platform\n{rest}");
    match PolicyFile::read(&text, now()) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (rest, expected) in [
        (
            "rolls: []",
            "line 3, column 1: there is no \"rolls\", only version, name, built_in_roles, roles, role_bindings",
        ),
        (
            "name: again",
            "line 3, column 1: name: stands in the file already",
        ),
        ("roles: {}", "line 3, column 8: roles: must be a list"),
        (
            "roles: [x]",
            "line 3, column 9: roles[0]: must be a mapping, with name, display_name, description, permissions",
        ),
        (
            "roles: [{name: roles/a, permissions: []}]",
            "line 3, column 38: roles[0].permissions: must have 1 to 128 entries",
        ),
        (
            "roles: [{name: roles/a}]",
            "line 3, column 9: roles[0].permissions: must have 1 to 128 entries",
        ),
        (
            "roles: [{permissions: [system.iam.update]}]",
            "line 3, column 9: roles[0].name: must be set",
        ),
        (
            "roles: [{name: roles/DEPLOYMENT_EDITOR, permissions: [system.iam.update]}]",
            "line 3, column 16: roles[0].name: is built in: say under built_in_roles what it holds here",
        ),
        (
            "roles: [{name: [], permissions: [system.iam.update]}]",
            "line 3, column 16: roles[0].name: must be a text",
        ),
        (
            "roles: [{name: roles/a, permissions: [system.iam.update, system.iam.update]}]",
            "line 3, column 58: roles[0].permissions[1]: system.iam.update is there already",
        ),
        (
            "roles: [{name: roles/a, permissions: [system.permits.issue]}]",
            "line 3, column 39: roles[0].permissions[0]: system.permits.issue is for services only",
        ),
        (
            "roles: [{name: workspaces/w/roles/a, permissions: [system.iam.update]}]",
            "line 3, column 52: roles[0].permissions[0]: system.iam.update has no meaning in a role of a workspace",
        ),
        (
            "roles: [{name: roles/a, description: [], permissions: [system.iam.update]}]",
            "line 3, column 38: roles[0].description: must be a text",
        ),
        (
            "roles: [{name: roles/a, description: \"\\0\", permissions: [system.iam.update]}]",
            "line 3, column 38: roles[0].description: must not have control characters",
        ),
        (
            "roles:\n- {name: roles/a, permissions: [system.iam.update]}\n- {name: roles/a, permissions: [system.iam.update]}",
            "line 5, column 3: roles[1]: stands in the file already",
        ),
        (
            "role_bindings: [{resource: system, role: roles/SYSTEM_ADMIN}]",
            "line 3, column 17: role_bindings[0].principal: must be set",
        ),
        (
            "role_bindings: [{resource: system, principal: 'service:authorization', role: roles/SYSTEM_ADMIN}]",
            "line 3, column 47: role_bindings[0].principal: a service has its permissions by configuration, never by a binding",
        ),
        (
            "role_bindings: [{resource: system, principal: 'user:a', role: roles/SYSTEM_ADMIN, expire_time: tomorrow}]",
            "line 3, column 96: role_bindings[0].expire_time: must be a time such as 2027-01-31T18:00:00Z",
        ),
        (
            "role_bindings: [{resource: system, principal: 'user:a', role: roles/SYSTEM_ADMIN, expire_time: 2036-06-01T00:00:01Z}]",
            "line 3, column 96: role_bindings[0].expire_time: must be at most 10 years ahead",
        ),
        (
            "role_bindings:\n- {resource: system, principal: 'user:a', role: roles/SYSTEM_ADMIN}\n- {resource: system, principal: 'user:a', role: roles/SYSTEM_ADMIN, expire_time: 2027-06-01T00:00:01Z}",
            "line 5, column 3: role_bindings[1]: stands in the file already",
        ),
        (
            "built_in_roles: {DEPLOYMENT_EDITOR: {permissions: {deployment.dags.push: yes}}}",
            "line 3, column 74: built_in_roles.DEPLOYMENT_EDITOR.permissions[\"deployment.dags.push\"]: must be true or false",
        ),
        (
            "built_in_roles: {DEPLOYMENT_EDITOR: {permissions: {deployment.dags.push: 'true'}}}",
            "line 3, column 74: built_in_roles.DEPLOYMENT_EDITOR.permissions[\"deployment.dags.push\"]: must be true or false",
        ),
        (
            "built_in_roles: {DEPLOYMENT_EDITOR: {permissions: {deployment.dags.push: true, deployment.dags.push: false}}}",
            "line 3, column 80: built_in_roles.DEPLOYMENT_EDITOR.permissions[\"deployment.dags.push\"]: stands in the file already",
        ),
        (
            "built_in_roles: {SYSTEM_ADMIN: {permissions: {system.iam.update: false}}}",
            "line 3, column 47: built_in_roles.SYSTEM_ADMIN.permissions[\"system.iam.update\"]: SYSTEM_ADMIN cannot lose system.iam.update: nobody could give roles any more",
        ),
        (
            "a: &a {}\nb: *a",
            "line 3, column 7: anchors and aliases are not read: write the value where it belongs",
        ),
    ] {
        assert_eq!(told(rest), [expected], "{rest}");
    }
    for (rest, expected) in [
        (
            "built_in_roles: {ROOT: {}}",
            "line 3, column 18: built_in_roles.ROOT: unknown system role",
        ),
        (
            "built_in_roles: {SYSTEM_VIEWER: {permissions: {fly: true}}}",
            "line 3, column 48: built_in_roles.SYSTEM_VIEWER.permissions[\"fly\"]: unknown permission",
        ),
        (
            "roles: [{name: a, permissions: [system.iam.update]}]",
            "line 3, column 16: roles[0].name: expected a name of the form",
        ),
        (
            "roles: [{name: roles/a, permissions: [fly]}]",
            "line 3, column 39: roles[0].permissions[0]: unknown permission",
        ),
    ] {
        let told = told(rest);
        assert!(
            told.len() == 1 && told[0].starts_with(expected),
            "{rest}: {told:?}"
        );
    }
}

#[test]
fn a_file_of_another_version_or_without_a_name_is_refused() {
    for (text, expected) in [
        (
            "version: 2\nname: a\n",
            "line 1, column 10: version: must be 1, the only version that there is",
        ),
        ("name: a\n", "line 1, column 1: version: must be set"),
        ("version: 1\n", "line 1, column 1: name: must be set"),
        (
            "[]",
            "line 1, column 1: must be a mapping, with version, name, built_in_roles, roles, role_bindings",
        ),
    ] {
        let violations = PolicyFile::read(text, now()).unwrap_err();
        assert_eq!(violations.to_string(), expected);
    }
    let violations = PolicyFile::read("version: 1\nname: Platform\n", now()).unwrap_err();
    assert!(
        violations
            .to_string()
            .starts_with("line 2, column 7: name: an id has")
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let told = told(
        "roles:\n- {name: x, display_name: [], permissions: [fly, run]}\nrole_bindings:\n- {}\n",
    );
    let fields = told
        .iter()
        .map(|text| text.split(": ").nth(1).unwrap())
        .collect::<Vec<_>>();
    assert_eq!(
        fields,
        [
            "roles[0].name",
            "roles[0].display_name",
            "roles[0].permissions[0]",
            "roles[0].permissions[1]",
            "role_bindings[0].resource",
            "role_bindings[0].principal",
            "role_bindings[0].role",
        ]
    );
}

#[test]
fn everything_is_bounded() {
    let roles = |count: usize| {
        let roles = (0..count).map(|number| {
            format!("- {{name: roles/r{number}, permissions: [system.iam.update]}}\n")
        });
        format!("roles:\n{}", roles.collect::<String>())
    };
    assert_eq!(told(&roles(1_000)), [""; 0]);
    assert_eq!(
        told(&roles(1_001)),
        ["line 4, column 3: roles: must have 0 to 1000 entries"]
    );
    let bindings = |count: usize| {
        let bindings = (0..count).map(|number| {
            format!("- {{resource: system, principal: 'user:u{number}', role: roles/r}}\n")
        });
        format!("role_bindings:\n{}", bindings.collect::<String>())
    };
    assert_eq!(told(&bindings(10_000)), [""; 0]);
    assert_eq!(
        told(&bindings(10_001)),
        ["line 4, column 3: role_bindings: must have 0 to 10000 entries"]
    );
    let display_name = |length: usize| {
        format!(
            "roles: [{{name: roles/r, display_name: {}, permissions: [system.iam.update]}}]",
            "é".repeat(length)
        )
    };
    assert_eq!(told(&display_name(100)), [""; 0]);
    assert_eq!(told(&display_name(101)).len(), 1);
    let principal = format!("user:{}", "a".repeat(300));
    assert_eq!(
        told(&format!(
            "role_bindings: [{{resource: system, principal: '{principal}', role: roles/r}}]"
        )),
        ["line 3, column 47: role_bindings[0].principal: must have at most 256 characters"]
    );
    assert_eq!(told(&format!("# {}", "x".repeat(LONGEST_FILE))).len(), 1);
    assert_eq!(told(&"- x\n".repeat(100)).len(), 1);
    assert_eq!(told(&format!("roles: [{}]", "x,".repeat(900))).len(), 50);
    let long = told(&format!("? {}\n: 1\n", "é".repeat(900)));
    assert!(long.len() == 1 && long[0].len() < 300, "{long:?}");
}

#[test]
fn a_time_that_has_gone_by_is_no_mistake() {
    let rest = "role_bindings: [{resource: system, principal: 'user:a', role: roles/r, expire_time: 2020-01-01T00:00:00Z}]";
    assert_eq!(told(rest), [""; 0]);
    let text = format!("version: 1\nname: platform\n{rest}");
    let later = now() + TimeDelta::days(10_000);
    assert!(PolicyFile::read(&text, later).is_ok());
}
