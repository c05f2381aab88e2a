use super::{Reach, ScopeBlocker, open_scopes, reach, required_permissions};
use crate::deploys::DagDeployMode::{self, DagOnly, GitSync, Image, Nfs};
use crate::deploys::Scope::{self, All, Dags};
use crate::permissions::Permission::{DeploymentDagsPush, DeploymentImagesPush};
use crate::permissions::PermissionSet;

/// One line per pair of modes, target and now: what ALL, IMAGE and DAGS bring back without dbt
/// bundles, and then with them. `!` marks a blocker.
const REACH: &str = "
    IMAGE    IMAGE    | image           image    !separate | image+dbt           image    dbt
    DAG_ONLY DAG_ONLY | image+dags      image    dags      | image+dags+dbt      image    dags+dbt
    GIT_SYNC GIT_SYNC | image           image    !separate | image+dbt           image    dbt
    IMAGE    DAG_ONLY | image+dags+mode !changed !changed  | image+dags+dbt+mode !changed !changed
    IMAGE    GIT_SYNC | image+mode      !changed !changed  | image+dbt+mode      !changed !changed
    DAG_ONLY IMAGE    | image+dags+mode !changed !changed  | image+dags+dbt+mode !changed !changed
    DAG_ONLY GIT_SYNC | image+dags+mode !changed !changed  | image+dags+dbt+mode !changed !changed
    GIT_SYNC IMAGE    | image+mode      !changed !changed  | image+dbt+mode      !changed !changed
    GIT_SYNC DAG_ONLY | image+dags+mode !changed !changed  | image+dags+dbt+mode !changed !changed
    NFS      NFS      | !nfs            !nfs     !nfs      | !nfs                !nfs     !nfs
    NFS      IMAGE    | !nfs            !nfs     !nfs      | !nfs                !nfs     !nfs
    NFS      DAG_ONLY | !nfs            !nfs     !nfs      | !nfs                !nfs     !nfs
    NFS      GIT_SYNC | !nfs            !nfs     !nfs      | !nfs                !nfs     !nfs
    IMAGE    NFS      | !nfs            !nfs     !nfs      | !nfs                !nfs     !nfs
    DAG_ONLY NFS      | !nfs            !nfs     !nfs      | !nfs                !nfs     !nfs
    GIT_SYNC NFS      | !nfs            !nfs     !nfs      | !nfs                !nfs     !nfs
";

fn words(reach: Result<Reach, ScopeBlocker>) -> String {
    match reach {
        Ok(Reach {
            image,
            dag_bundle,
            dbt,
            mode,
        }) => {
            let parts = [
                (image, "image"),
                (dag_bundle, "dags"),
                (dbt, "dbt"),
                (mode, "mode"),
            ];
            let back: Vec<_> = parts
                .into_iter()
                .filter(|(back, _)| *back)
                .map(|(_, word)| word)
                .collect();
            back.join("+")
        }
        Err(ScopeBlocker::DagsNotSeparate) => "!separate".to_owned(),
        Err(ScopeBlocker::DagDeployModeUnsupported) => "!nfs".to_owned(),
        Err(ScopeBlocker::DagDeployModeChanged) => "!changed".to_owned(),
    }
}

/// Every cell: target, now, scope, dbt.
fn cells() -> impl Iterator<Item = (DagDeployMode, DagDeployMode, Scope, bool)> {
    let modes = || DagDeployMode::ALL.iter().copied();
    modes()
        .flat_map(move |target| modes().map(move |now| (target, now)))
        .flat_map(|(target, now)| Scope::ALL.iter().map(move |scope| (target, now, *scope)))
        .flat_map(|(target, now, scope)| [false, true].map(|dbt| (target, now, scope, dbt)))
}

#[test]
fn every_cell_brings_back_what_the_table_says() {
    let mut rows = 0;
    for line in REACH.lines().filter(|line| !line.trim().is_empty()) {
        let columns: Vec<_> = line
            .split_whitespace()
            .filter(|word| *word != "|")
            .collect();
        let [target, now, cells @ ..] = columns.as_slice() else {
            panic!("{line}")
        };
        let (target, now) = (target.parse().unwrap(), now.parse().unwrap());
        let found: Vec<_> = [false, true]
            .into_iter()
            .flat_map(|dbt| Scope::ALL.iter().map(move |scope| (*scope, dbt)))
            .map(|(scope, dbt)| words(reach(target, now, scope, dbt)))
            .collect();
        assert_eq!(found, cells, "{target} → {now}");
        rows += 1;
    }
    assert_eq!(rows, DagDeployMode::ALL.len().pow(2));
}

#[test]
fn every_cell_needs_the_permission_of_its_scope() {
    let images = PermissionSet::of(&[DeploymentImagesPush]);
    let dags = PermissionSet::of(&[DeploymentDagsPush]);
    for (target, now, scope, dbt) in cells() {
        let expected = match scope {
            Scope::Image => images,
            Scope::Dags => dags,
            Scope::All if dbt || target == DagOnly || now == DagOnly => images.union(dags),
            Scope::All => images,
        };
        let needed = required_permissions(target, now, scope, dbt, false);
        assert_eq!(needed, expected, "{target} → {now}, {scope}, dbt: {dbt}");
    }
}

#[test]
fn with_a_hold_a_part_needs_what_the_whole_needs_too() {
    let images = PermissionSet::of(&[DeploymentImagesPush]);
    let dags = PermissionSet::of(&[DeploymentDagsPush]);
    for (target, now, scope, dbt) in cells() {
        let expected = match scope {
            Scope::Dags => images.union(dags),
            All | Scope::Image if dbt || target == DagOnly || now == DagOnly => images.union(dags),
            All | Scope::Image => images,
        };
        let needed = required_permissions(target, now, scope, dbt, true);
        assert_eq!(needed, expected, "{target} → {now}, {scope}, dbt: {dbt}");
    }
}

#[test]
fn nothing_comes_back_without_the_permission_to_push_it() {
    for (target, now, scope, dbt) in cells() {
        let needed = required_permissions(target, now, scope, dbt, false);
        let Ok(Reach {
            image,
            dag_bundle,
            dbt,
            mode,
        }) = reach(target, now, scope, dbt)
        else {
            continue;
        };
        assert!(
            image || dag_bundle || dbt,
            "{target} → {now}, {scope}: nothing comes back"
        );
        assert!(!image || needed.contains(DeploymentImagesPush));
        assert!(!(dag_bundle || dbt) || needed.contains(DeploymentDagsPush));
        assert!(!mode || scope == All);
    }
}

#[test]
fn a_holder_of_one_permission_can_choose_only_that_part() {
    let images = PermissionSet::of(&[DeploymentImagesPush]);
    let dags = PermissionSet::of(&[DeploymentDagsPush]);
    let both = images.union(dags);

    assert_eq!(
        open_scopes(images, DagOnly, DagOnly, false, false),
        [Scope::Image]
    );
    assert_eq!(open_scopes(dags, DagOnly, DagOnly, false, false), [Dags]);
    assert_eq!(
        open_scopes(both, DagOnly, DagOnly, false, false),
        [All, Scope::Image, Dags]
    );
    assert_eq!(
        open_scopes(images, Image, Image, false, false),
        [All, Scope::Image]
    );
    assert_eq!(
        open_scopes(images, Image, Image, true, false),
        [Scope::Image]
    );
    assert_eq!(open_scopes(dags, GitSync, GitSync, true, false), [Dags]);
    assert_eq!(open_scopes(dags, GitSync, GitSync, false, false), []);
    assert_eq!(open_scopes(images, Image, GitSync, false, false), [All]);
    assert_eq!(open_scopes(images, DagOnly, Image, false, false), []);
    assert_eq!(open_scopes(both, Nfs, Nfs, true, false), []);
    assert_eq!(
        open_scopes(PermissionSet::EMPTY, Image, Image, true, false),
        []
    );
}

#[test]
fn a_hold_is_open_only_to_those_who_may_roll_everything_back() {
    let images = PermissionSet::of(&[DeploymentImagesPush]);
    let dags = PermissionSet::of(&[DeploymentDagsPush]);
    let both = images.union(dags);

    for held in [images, dags, PermissionSet::EMPTY] {
        assert_eq!(open_scopes(held, DagOnly, DagOnly, false, true), []);
    }
    assert_eq!(
        open_scopes(both, DagOnly, DagOnly, false, true),
        [All, Scope::Image, Dags]
    );
    assert_eq!(
        open_scopes(images, Image, Image, false, true),
        [All, Scope::Image]
    );
    assert_eq!(open_scopes(images, Image, Image, true, true), []);
}
