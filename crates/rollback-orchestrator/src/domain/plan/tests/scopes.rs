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
