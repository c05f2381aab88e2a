//! Random files in a random order.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::super::*;
use super::now;
use super::world::World;

const ROLES: [&str; 3] = ["roles/a", "workspaces/w/roles/b", "workspaces/w/roles/c"];
const BINDABLE: [&str; 5] = [
    "roles/a",
    "workspaces/w/roles/b",
    "workspaces/w/roles/c",
    "roles/DEPLOYMENT_EDITOR",
    "roles/SYSTEM_ADMIN",
];
const PERMISSIONS: [&str; 3] = [
    "deployment.logs.get",
    "deployment.dags.push",
    "workspace.config.get",
];
const RESOURCES: [&str; 3] = ["system", "workspaces/w", "workspaces/w/deployments/d"];
const PRINCIPALS: [&str; 2] = ["user:admin", "group:g"];
const NAMES: [&str; 2] = ["one", "two"];

/// The text of a file: some of everything that there is.
fn text() -> impl Strategy<Value = String> {
    let role = (0..ROLES.len(), 1_usize..8, 0..2_usize).prop_map(|(role, permissions, called)| {
        let held = PERMISSIONS.iter().enumerate();
        let held = held.filter(|(bit, _)| permissions & (1 << bit) != 0);
        let held = held.map(|(_, text)| *text).collect::<Vec<_>>().join(", ");
        let name = ROLES[role];
        (
            role,
            format!("- {{name: {name}, display_name: n{called}, permissions: [{held}]}}\n"),
        )
    });
    let binding = (
        0..RESOURCES.len(),
        0..PRINCIPALS.len(),
        0..BINDABLE.len(),
        proptest::option::of(-2..3_i64),
    )
        .prop_map(|(resource, principal, role, days)| {
            let until = days.map_or(String::new(), |days| {
                let time = now() + TimeDelta::days(days);
                format!(", expire_time: {}", time.format("%+"))
            });
            let line = format!(
                "- {{resource: {}, principal: '{}', role: {}{until}}}\n",
                RESOURCES[resource], PRINCIPALS[principal], BINDABLE[role]
            );
            ((resource, principal, role), line)
        });
    let roles = proptest::collection::btree_map(0..ROLES.len(), role, 0..3);
    let bindings = proptest::collection::vec(binding, 0..4);
    let built_in = proptest::option::of(any::<bool>());
    (0..NAMES.len(), roles, bindings, built_in).prop_map(|(name, roles, bindings, built_in)| {
        let mut text = format!("version: 1\nname: {}\nroles:\n", NAMES[name]);
        let roles = roles.into_values().collect::<BTreeMap<_, _>>();
        text.extend(roles.into_values());
        text.push_str("role_bindings:\n");
        let bindings = bindings.into_iter().collect::<BTreeMap<_, _>>();
        text.extend(bindings.into_values());
        if let Some(held) = built_in {
            text.push_str(&format!(
                "built_in_roles: {{DEPLOYMENT_EDITOR: {{permissions: {{deployment.logs.get: {held}}}}}}}\n"
            ));
        }
        text
    })
}

/// What a world has of a file, in the words of a file.
fn brought(world: &World, file: &PolicyFile) -> PolicyFile {
    let own = |managed_by: Option<&PolicyFileName>| managed_by == Some(&file.name);
    let Current {
        built_in_roles,
        roles,
        bindings,
    } = &world.current;
    let roles = roles
        .iter()
        .filter(|(_, role)| own(role.managed_by.as_ref()));
    let bindings = bindings
        .iter()
        .filter(|(_, binding)| own(binding.managed_by.as_ref()));
    PolicyFile {
        name: file.name.clone(),
        built_in_roles: built_in_roles
            .iter()
            .filter(|(_, entry)| entry.managed_by == file.name)
            .map(|(key, entry)| (*key, entry.held))
            .collect(),
        roles: roles
            .map(|(name, role)| {
                let role = FileRole {
                    display_name: role.display_name.clone(),
                    description: role.description.clone(),
                    permissions: role.permissions,
                };
                (name.clone(), role)
            })
            .collect(),
        bindings: bindings
            .map(|(key, binding)| {
                let said = FileBinding {
                    expire_time: binding.expire_time,
                    number: 0,
                    place: Place::START,
                };
                (key.clone(), said)
            })
            .collect(),
    }
}

/// The file without what has expired, nor where it stands.
fn said(mut file: PolicyFile) -> PolicyFile {
    file.bindings
        .retain(|_, binding| binding.expire_time.is_none_or(|time| time > now()));
    for binding in file.bindings.values_mut() {
        binding.number = 0;
        binding.place = Place::START;
    }
    file
}

/// All that is not of this file, nor named by it.
fn left_alone(world: &World, file: &PolicyFile) -> Current {
    let own = |managed_by: Option<&PolicyFileName>| managed_by == Some(&file.name);
    let mut rest = world.current.clone();
    rest.built_in_roles
        .retain(|_, entry| entry.managed_by != file.name);
    rest.roles
        .retain(|name, role| !own(role.managed_by.as_ref()) && !file.roles.contains_key(name));
    rest.bindings.retain(|key, binding| {
        let gone = binding.expired(now());
        !own(binding.managed_by.as_ref()) && !file.bindings.contains_key(key) && !gone
    });
    rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_brought_is_what_the_last_file_of_its_name_says(
        texts in proptest::collection::vec(text(), 1..8),
        by_hand in 0..8_usize,
    ) {
        let mut world = World::first();
        for (bit, role) in ROLES.iter().enumerate() {
            if by_hand & (1 << bit) != 0 {
                world.role(role, &["deployment.logs.get"], None);
                world.bind("group:g", role, "workspaces/w", None, None);
            }
        }
        for text in &texts {
            let file = PolicyFile::read(text, now()).unwrap();
            let before = world.clone();
            let applied = world.apply(&file, now());
            if applied.is_err() {
                prop_assert_eq!(&world.current, &before.current);
                continue;
            }
            prop_assert_eq!(brought(&world, &file), said(file.clone()));
            prop_assert_eq!(left_alone(&world, &file), left_alone(&before, &file));
            let after = world.clone();
            prop_assert_eq!(world.apply(&file, now()).unwrap(), Vec::<String>::new());
            prop_assert_eq!(&world.current, &after.current);
        }
    }
}
