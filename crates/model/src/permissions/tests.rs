use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Permission, PermissionSet};
use crate::names::Level;

fn names(set: PermissionSet) -> BTreeSet<Permission> {
    set.iter().collect()
}

fn any_set() -> impl Strategy<Value = PermissionSet> {
    proptest::collection::vec(proptest::sample::select(Permission::ALL), 0..20)
        .prop_map(|permissions| permissions.into_iter().collect())
}

#[test]
fn every_permission_has_one_name_that_parses_back() {
    let names: BTreeSet<_> = Permission::ALL
        .iter()
        .map(|permission| permission.as_str())
        .collect();
    assert_eq!(names.len(), Permission::ALL.len());
    for permission in Permission::ALL {
        assert_eq!(permission.as_str().parse(), Ok(*permission));
    }
}

#[test]
fn every_permission_names_its_level() {
    for permission in Permission::ALL {
        let (level, _) = permission.as_str().split_once('.').unwrap();
        assert_eq!(level.parse(), Ok(permission.level()));
    }
}

#[test]
fn a_custom_role_may_hold_its_level_and_what_is_narrower() {
    for level in Level::ALL {
        let grantable = PermissionSet::grantable_at(*level);
        for permission in Permission::ALL {
            let expected = match (level, permission.as_str().split_once('.').unwrap().0) {
                (_, "deployment") => true,
                (Level::System | Level::Workspace, "workspace") => true,
                (Level::System, "system") => !matches!(
                    permission.as_str(),
                    "system.rollbacks.write" | "system.permits.issue" | "system.permissions.check"
                ),
                _ => false,
            };
            assert_eq!(
                grantable.contains(*permission),
                expected,
                "{permission} at {level}"
            );
        }
    }
}

#[test]
fn the_error_for_an_unknown_permission_stays_short() {
    let error = "deployment.images.pus".parse::<Permission>().unwrap_err();
    assert!(error.to_string().len() < 512, "{error}");
    assert_eq!(error.allowed().len(), Permission::ALL.len());
}

#[test]
fn a_set_prints_its_names_in_order() {
    let set = PermissionSet::of(&[
        Permission::DeploymentDagsPush,
        Permission::DeploymentImagesPush,
        Permission::DeploymentDagsPush,
    ]);
    assert_eq!(
        set.to_string(),
        "deployment.images.push, deployment.dags.push"
    );
    assert_eq!(
        format!("{set:?}"),
        r#"{"deployment.images.push", "deployment.dags.push"}"#
    );
    assert_eq!(set.len(), 2);
    assert_eq!(PermissionSet::EMPTY.to_string(), "");
}

#[test]
fn a_permission_that_an_rpc_needs_says_what_for() {
    let services = [
        "authorization/v1/authorization_service.proto",
        "registry/v1/deploy_registry_service.proto",
        "rollback/v1/rollback_service.proto",
    ];
    let mut asked = BTreeSet::new();
    for service in services {
        let proto = format!(
            "{}/../../proto/reprise/{service}",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(&proto).unwrap();
        let (rpcs, _messages) = text.split_once("\n}\n").unwrap();
        let quoted = rpcs.split('`').skip(1).step_by(2);
        asked.extend(quoted.filter_map(|quoted| quoted.parse::<Permission>().ok()));
    }
    assert!(asked.contains(&Permission::DeploymentDagsPush), "{asked:?}");
    for permission in Permission::ALL {
        let description = permission.description();
        assert!(
            !asked.contains(permission) || !description.is_empty(),
            "{permission} is needed by an RPC: describe it"
        );
        assert!(
            description.is_empty() || description.ends_with('.') && !description.contains("  "),
            "{description}"
        );
    }
}

proptest! {
    #[test]
    fn a_set_behaves_as_a_set(left in any_set(), right in any_set()) {
        let (l, r) = (names(left), names(right));
        prop_assert_eq!(names(left.union(right)), &l | &r);
        prop_assert_eq!(names(left.difference(right)), &l - &r);
        prop_assert_eq!(left.is_subset(right), l.is_subset(&r));
        prop_assert_eq!(left.is_empty(), l.is_empty());
        prop_assert_eq!(left.len() as usize, l.len());
        prop_assert_eq!(left.iter().collect::<PermissionSet>(), left);
        for permission in Permission::ALL {
            prop_assert_eq!(left.contains(*permission), l.contains(permission));
        }
    }
}
