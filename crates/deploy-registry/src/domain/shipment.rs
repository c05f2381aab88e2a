use std::collections::{BTreeMap, BTreeSet};

use model::{DagDeployMode, RunsOn, Sha256Digest};

use super::{Bundle, DeployTrigger, DeployType, Image, MOST_DBT_BUNDLES, MountPath, Revision};

/// An image that a deploy ships, with the versions inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShippedImage {
    pub(crate) image: Image,
    pub(crate) runs_on: RunsOn,
}

/// The parts that a deploy ships. What it does not ship is inherited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shipment {
    /// One by [`DeployTrigger::GitSync`] has no parts: its DAGs are in the Deployment already.
    pub(crate) trigger: DeployTrigger,
    pub(crate) image: Option<ShippedImage>,
    pub(crate) dag_bundle: Option<Sha256Digest>,
    /// Added to the dbt bundles that are there, or put in the place of the one at the same path.
    pub(crate) dbt: BTreeMap<MountPath, Sha256Digest>,
}

/// Why the Deployment cannot take a shipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not in a state that allows it.
    NotAllowed(Vec<Obstacle>),
    /// It does not have these bundles.
    BundlesMissing(Vec<Sha256Digest>),
}

/// What of the Deployment's state is in the way, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Obstacle {
    #[error("the first deploy of a Deployment ships an image: set revision.image and its version")]
    FirstNeedsImage,
    #[error(
        "DAG bundles are shipped in the DAG deploy mode DAG_ONLY, and this Deployment's is {mode}: \
         leave revision.dag_bundle out"
    )]
    DagsNotSeparate { mode: DagDeployMode },
    #[error(
        "only a Deployment in the DAG deploy mode GIT_SYNC pulls commits by itself, and this one's is \
         {mode}: leave trigger out"
    )]
    NotSynced { mode: DagDeployMode },
    #[error(
        "a revision has at most {MOST_DBT_BUNDLES} dbt bundles, and there would be {count}: \
         ship to mount paths that are in use"
    )]
    TooManyDbtBundles { count: usize },
}

impl Shipment {
    /// Whether nothing is shipped.
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            trigger: _,
            image,
            dag_bundle,
            dbt,
        } = self;
        image.is_none() && dag_bundle.is_none() && dbt.is_empty()
    }

    /// The type of a deploy that ships this.
    pub(crate) fn deploy_type(&self, mode: DagDeployMode) -> DeployType {
        match self.trigger {
            DeployTrigger::GitSync => DeployType::DagsOnly,
            DeployTrigger::Api | DeployTrigger::Github | DeployTrigger::Rollback => {
                DeployType::of(self.image.is_some(), self.dag_bundle.is_some(), mode)
            }
        }
    }

    /// The digests of all bundles that are shipped.
    pub(crate) fn bundles(&self) -> BTreeSet<Sha256Digest> {
        self.dag_bundle
            .iter()
            .chain(self.dbt.values())
            .copied()
            .collect()
    }

    /// The revision after this is shipped on top of `base`, to a Deployment in `mode` that has the
    /// bundles `stored`.
    pub(crate) fn onto(
        &self,
        base: Option<&Revision>,
        mode: DagDeployMode,
        stored: &BTreeMap<Sha256Digest, Bundle>,
    ) -> Result<Revision, Refusal> {
        let Self {
            trigger,
            image,
            dag_bundle,
            dbt,
        } = self;
        let mut obstacles = Vec::new();
        let mut missing = BTreeSet::new();
        let mut take = |sha256: &Sha256Digest| {
            let bundle = stored.get(sha256).copied();
            if bundle.is_none() {
                missing.insert(*sha256);
            }
            bundle
        };

        let dag_bundle = dag_bundle.as_ref().and_then(&mut take);
        if self.dag_bundle.is_some() && mode != DagDeployMode::DagOnly {
            obstacles.push(Obstacle::DagsNotSeparate { mode });
        }
        if *trigger == DeployTrigger::GitSync && mode != DagDeployMode::GitSync {
            obstacles.push(Obstacle::NotSynced { mode });
        }
        let mut all_dbt = base.map(|base| base.dbt.clone()).unwrap_or_default();
        for (mount_path, sha256) in dbt {
            if let Some(bundle) = take(sha256) {
                all_dbt.insert(mount_path.clone(), bundle);
            }
        }
        if all_dbt.len() > MOST_DBT_BUNDLES {
            obstacles.push(Obstacle::TooManyDbtBundles {
                count: all_dbt.len(),
            });
        }
        let (image, runs_on) = match (image, base) {
            (Some(ShippedImage { image, runs_on }), _) => (image.clone(), runs_on.clone()),
            (None, Some(base)) => (base.image.clone(), base.runs_on.clone()),
            (None, None) => {
                obstacles.push(Obstacle::FirstNeedsImage);
                return Err(Refusal::NotAllowed(obstacles));
            }
        };
        if !obstacles.is_empty() {
            return Err(Refusal::NotAllowed(obstacles));
        }
        if !missing.is_empty() {
            return Err(Refusal::BundlesMissing(missing.into_iter().collect()));
        }
        // In the other modes nothing reads a bundle that the base may still have.
        let inherited = base
            .filter(|_| mode == DagDeployMode::DagOnly)
            .and_then(|base| base.dag_bundle);
        Ok(Revision {
            image,
            runs_on,
            dag_bundle: dag_bundle.or(inherited),
            dbt: all_dbt,
            mode,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::revision::tests::{bundle, image_only};

    const DAG_ONLY: DagDeployMode = DagDeployMode::DagOnly;

    fn shipped_image(digit: char) -> ShippedImage {
        let Revision {
            image,
            runs_on,
            dag_bundle: _,
            dbt: _,
            mode: _,
        } = image_only(DAG_ONLY, digit, "3.1-10");
        ShippedImage { image, runs_on }
    }

    fn stored(digits: &str) -> BTreeMap<Sha256Digest, Bundle> {
        digits
            .chars()
            .map(|digit| (bundle(digit).sha256, bundle(digit)))
            .collect()
    }

    fn path(text: &str) -> MountPath {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_not_shipped_is_inherited() {
        let base = Revision {
            dag_bundle: Some(bundle('b')),
            dbt: BTreeMap::from([(path("/dbt/a"), bundle('c')), (path("/dbt/b"), bundle('c'))]),
            ..image_only(DAG_ONLY, 'a', "3.1-9")
        };
        let ship =
            |shipment: Shipment| shipment.onto(Some(&base), DAG_ONLY, &stored("de")).unwrap();

        let ShippedImage { image, runs_on } = shipped_image('f');
        assert_eq!(
            ship(Shipment {
                image: Some(shipped_image('f')),
                ..Shipment::default()
            }),
            Revision {
                image,
                runs_on,
                ..base.clone()
            }
        );
        assert_eq!(
            ship(Shipment {
                dag_bundle: Some(bundle('d').sha256),
                ..Shipment::default()
            }),
            Revision {
                dag_bundle: Some(bundle('d')),
                ..base.clone()
            }
        );
        let dbt = BTreeMap::from([
            (path("/dbt/b"), bundle('d').sha256),
            (path("/dbt/c"), bundle('e').sha256),
        ]);
        assert_eq!(
            ship(Shipment {
                dbt,
                ..Shipment::default()
            })
            .dbt,
            BTreeMap::from([
                (path("/dbt/a"), bundle('c')),
                (path("/dbt/b"), bundle('d')),
                (path("/dbt/c"), bundle('e')),
            ])
        );
    }

    #[test]
    fn a_dag_bundle_is_not_inherited_into_a_mode_that_does_not_read_it() {
        let base = Revision {
            dag_bundle: Some(bundle('b')),
            ..image_only(DAG_ONLY, 'a', "3.1-9")
        };
        let shipment = Shipment {
            image: Some(shipped_image('f')),
            ..Shipment::default()
        };
        let after = shipment
            .onto(Some(&base), DagDeployMode::Image, &stored(""))
            .unwrap();
        assert_eq!(after.dag_bundle, None);
        assert_eq!(after.mode, DagDeployMode::Image);
    }

    #[test]
    fn the_first_deploy_needs_an_image() {
        let dags = Shipment {
            dag_bundle: Some(bundle('d').sha256),
            ..Shipment::default()
        };
        assert_eq!(
            dags.onto(None, DAG_ONLY, &stored("d")),
            Err(Refusal::NotAllowed(vec![Obstacle::FirstNeedsImage]))
        );
        let both = Shipment {
            image: Some(shipped_image('a')),
            ..dags
        };
        assert!(both.onto(None, DAG_ONLY, &stored("d")).is_ok());
    }

    #[test]
    fn dag_bundles_are_for_the_mode_dag_only() {
        let base = image_only(DagDeployMode::Image, 'a', "3.1-9");
        let dags = Shipment {
            dag_bundle: Some(bundle('d').sha256),
            ..Shipment::default()
        };
        for mode in [
            DagDeployMode::Image,
            DagDeployMode::GitSync,
            DagDeployMode::Nfs,
        ] {
            assert_eq!(
                dags.onto(Some(&base), mode, &stored("d")),
                Err(Refusal::NotAllowed(vec![Obstacle::DagsNotSeparate {
                    mode
                }]))
            );
        }
    }

    #[test]
    fn a_commit_that_was_pulled_changes_nothing_that_is_shipped() {
        let git_sync = DagDeployMode::GitSync;
        let base = Revision {
            dbt: BTreeMap::from([(path("/dbt/a"), bundle('c'))]),
            ..image_only(git_sync, 'a', "3.1-9")
        };
        let pulled = Shipment {
            trigger: DeployTrigger::GitSync,
            ..Shipment::default()
        };
        assert_eq!(pulled.deploy_type(git_sync), DeployType::DagsOnly);
        let after = pulled.onto(Some(&base), git_sync, &stored(""));
        assert_eq!(after, Ok(base));

        let first = pulled.onto(None, git_sync, &stored(""));
        let refused = Refusal::NotAllowed(vec![Obstacle::FirstNeedsImage]);
        assert_eq!(first, Err(refused));
        for mode in [DAG_ONLY, DagDeployMode::Image, DagDeployMode::Nfs] {
            let base = image_only(mode, 'a', "3.1-9");
            let elsewhere = pulled.onto(Some(&base), mode, &stored(""));
            let refused = Refusal::NotAllowed(vec![Obstacle::NotSynced { mode }]);
            assert_eq!(elsewhere, Err(refused), "{mode}");
        }
    }

    #[test]
    fn every_missing_bundle_is_told() {
        let base = image_only(DAG_ONLY, 'a', "3.1-9");
        let shipment = Shipment {
            dag_bundle: Some(bundle('b').sha256),
            dbt: BTreeMap::from([
                (path("/dbt/a"), bundle('c').sha256),
                (path("/dbt/b"), bundle('d').sha256),
            ]),
            ..Shipment::default()
        };
        assert_eq!(
            shipment.onto(Some(&base), DAG_ONLY, &stored("c")),
            Err(Refusal::BundlesMissing(vec![
                bundle('b').sha256,
                bundle('d').sha256
            ]))
        );
    }

    #[test]
    fn dbt_bundles_do_not_pile_up_without_bound() {
        let many = |from: usize, to: usize| {
            (from..to)
                .map(|n| (path(&format!("/dbt/{n}")), bundle('c').sha256))
                .collect()
        };
        let base = Shipment {
            image: Some(shipped_image('a')),
            dbt: many(0, 10),
            ..Shipment::default()
        }
        .onto(None, DAG_ONLY, &stored("c"))
        .unwrap();
        let ship = |dbt| {
            Shipment {
                dbt,
                ..Shipment::default()
            }
            .onto(Some(&base), DAG_ONLY, &stored("c"))
        };
        assert_eq!(ship(many(0, 16)).unwrap().dbt.len(), 16);
        assert_eq!(
            ship(many(10, 17)),
            Err(Refusal::NotAllowed(vec![Obstacle::TooManyDbtBundles {
                count: 17
            }]))
        );
    }
}
