//! Every cell of the table of modes and scopes: what changes, and what is said to stay.

use model::scope::{ScopeBlocker, reach};

use super::*;

/// The revision that the registry composes, by the rules that both share.
fn compose(then: &Revision, now: &Revision, reach: model::scope::Reach) -> Revision {
    let model::scope::Reach {
        image,
        dag_bundle,
        dbt,
        mode,
    } = reach;
    let of_image = if image { then } else { now };
    Revision {
        image: of_image.image.clone(),
        runtime: of_image.runtime.clone(),
        airflow: of_image.airflow.clone(),
        dag_bundle: if dag_bundle { then } else { now }.dag_bundle.clone(),
        dbt_bundles: if dbt { then } else { now }.dbt_bundles.clone(),
        mode: if mode { then } else { now }.mode,
    }
}

/// A revision with a number, so that two of them differ in every component.
fn shipped(n: u8, mode: DagDeployMode, has_dbt: bool) -> Revision {
    Revision {
        image: Some(image(n)),
        dag_bundle: (mode == DagDeployMode::DagOnly).then(|| bundle(n)),
        dbt_bundles: if has_dbt {
            vec![dbt("/dbt", n)]
        } else {
            Vec::new()
        },
        mode,
        ..revision()
    }
}

#[test]
fn every_cell_changes_what_it_brings_back_and_names_what_it_leaves() {
    let modes = DagDeployMode::ALL.iter();
    let pairs = modes.flat_map(|then| DagDeployMode::ALL.iter().map(move |now| (*then, *now)));
    let mut cells = 0;
    for (target, now) in pairs {
        for (scope, has_dbt) in Scope::ALL.iter().flat_map(|s| [(*s, false), (*s, true)]) {
            let case = format!("{target} to {now}, {scope}, dbt: {has_dbt}");
            let (then, current) = (shipped(1, target, has_dbt), shipped(2, now, has_dbt));
            let mut facts = between(current.clone(), then.clone());
            facts.scope = scope;
            cells += 1;
            let reach = match reach(target, now, scope, has_dbt) {
                Ok(reach) => reach,
                Err(blocker) => {
                    let code = match blocker {
                        ScopeBlocker::DagsNotSeparate => BlockerCode::DagsNotSeparate,
                        ScopeBlocker::DagDeployModeUnsupported => {
                            BlockerCode::DagDeployModeUnsupported
                        }
                        ScopeBlocker::DagDeployModeChanged => BlockerCode::DagDeployModeChanged,
                    };
                    facts.preview.composed = None;
                    facts.preview.blockers = vec![Blocker {
                        code,
                        subject: "s".to_owned(),
                        text: "t".to_owned(),
                    }];
                    let plan = plan(facts);
                    assert_eq!(plan.blockers[0].code, code, "{case}");
                    assert_eq!((plan.changes.len(), plan.composed), (0, None), "{case}");
                    continue;
                }
            };
            facts.preview.composed.as_mut().unwrap().revision = compose(&then, &current, reach);
            let plan = plan(facts);
            let changes = plan.changes.iter().map(|change| change.component);
            let changes = changes.collect::<Vec<_>>();
            let mut expected = Vec::new();
            let bundles = then.dag_bundle != current.dag_bundle;
            for (back, component) in [
                (reach.image, Component::Image),
                (reach.dag_bundle && bundles, Component::DagBundle),
                (reach.dbt && has_dbt, Component::DbtBundles),
                (reach.mode && target != now, Component::DagDeployMode),
            ] {
                expected.extend(back.then_some(component));
            }
            assert_eq!(changes, expected, "{case}");

            let stays = |what| plan.unchanged.iter().any(|line| line.what == what);
            assert_eq!(stays("image"), !reach.image, "{case}");
            assert_eq!(stays("dbt_bundles"), has_dbt && !reach.dbt, "{case}");
            // DAGs inside an image that comes back come with it.
            let in_image = plan.composed.as_ref().unwrap().revision.mode == DagDeployMode::Image;
            let come = changes.contains(&Component::DagBundle) || (in_image && reach.image);
            assert_eq!(stays("dags"), !come, "{case}");
            for always in ["settings", "description", "history"] {
                assert!(stays(always), "{case}");
            }
        }
    }
    assert_eq!(cells, 4 * 4 * 3 * 2);
}

#[test]
fn what_a_scope_leaves_alone_is_said() {
    let lines = |scope, then: Revision, dbt_now: bool| {
        let mut now = Revision {
            image: Some(image(2)),
            dag_bundle: Some(bundle(2)),
            ..revision()
        };
        if dbt_now {
            now.dbt_bundles = vec![dbt("/dbt/a", 1)];
        }
        let mut facts = between(now, then);
        facts.scope = scope;
        plan(facts)
            .unchanged
            .into_iter()
            .map(|line| line.what)
            .collect::<Vec<_>>()
    };
    let always = ["settings", "description", "history"];
    let with = |first: &[&'static str]| [first, &always].concat();

    let image_back = Revision {
        dag_bundle: Some(bundle(2)),
        ..revision()
    };
    assert_eq!(
        lines(Scope::Image, image_back.clone(), false),
        with(&["dags"])
    );
    let kept = Revision {
        dbt_bundles: vec![dbt("/dbt/a", 1)],
        ..image_back
    };
    assert_eq!(
        lines(Scope::Image, kept, true),
        with(&["dags", "dbt_bundles"])
    );
    let dags_back = Revision {
        image: Some(image(2)),
        ..revision()
    };
    assert_eq!(lines(Scope::Dags, dags_back, false), with(&["image"]));
    assert_eq!(lines(Scope::All, revision(), false), with(&[]));
}

/// Every cell of the table of modes and scopes, for every caller.
#[test]
fn the_permission_report_follows_scope_and_mode() {
    const IMAGES: PermissionSet = PermissionSet::of(&[Permission::DeploymentImagesPush]);
    const DAGS: PermissionSet = PermissionSet::of(&[Permission::DeploymentDagsPush]);
    let both = IMAGES.union(DAGS);
    for target in DagDeployMode::ALL {
        for now in DagDeployMode::ALL {
            for scope in Scope::ALL {
                for (dbt_now, dbt_then) in [(false, false), (true, false), (false, true)] {
                    for held in [PermissionSet::EMPTY, IMAGES, DAGS, both] {
                        let of = |mode, has_dbt| Revision {
                            mode,
                            dbt_bundles: if has_dbt {
                                vec![dbt("/dbt", 1)]
                            } else {
                                Vec::new()
                            },
                            ..revision()
                        };
                        let mut facts = between(of(*now, dbt_now), of(*target, dbt_then));
                        (facts.scope, facts.held) = (*scope, held);
                        let report = plan(facts).permissions;

                        let dag_only = [*target, *now].contains(&DagDeployMode::DagOnly);
                        let needed = match scope {
                            Scope::Image => IMAGES,
                            Scope::Dags => DAGS,
                            Scope::All if dag_only || dbt_now || dbt_then => both,
                            Scope::All => IMAGES,
                        };
                        assert_eq!(report.needed, needed, "{target} to {now}, {scope}");
                        assert_eq!(report.held, needed.intersection(held));
                        assert_eq!(report.missing, needed.difference(held));
                        let nfs = [*target, *now].contains(&DagDeployMode::Nfs);
                        let open = |scope: &Scope| {
                            !nfs && match scope {
                                Scope::All => {
                                    let all = if dag_only || dbt_now || dbt_then {
                                        both
                                    } else {
                                        IMAGES
                                    };
                                    all.is_subset(held)
                                }
                                Scope::Image => target == now && IMAGES.is_subset(held),
                                Scope::Dags => {
                                    let separate = dag_only || dbt_now || dbt_then;
                                    target == now && separate && DAGS.is_subset(held)
                                }
                            }
                        };
                        let expected = Scope::ALL.iter().copied().filter(open).collect::<Vec<_>>();
                        assert_eq!(report.open_scopes, expected, "{target} to {now}, {held:?}");
                    }
                }
            }
        }
    }
}
