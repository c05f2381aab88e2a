use std::collections::BTreeMap;
use std::fmt;

use model::{DagDeployMode, ImageDigest, ImageRepository, ImageTag, RunsOn, Sha256Digest};
use sha2::{Digest, Sha256};

use super::{Bundle, MountPath};

/// How many dbt bundles a revision can have.
pub(crate) const MOST_DBT_BUNDLES: usize = 16;

/// A container image. What runs, and what a rollback brings back, is the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) repository: ImageRepository,
    pub(crate) tag: Option<ImageTag>,
    pub(crate) digest: ImageDigest,
}

/// What runs after a deploy. Every deploy stores the whole of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revision {
    pub(crate) image: Image,
    pub(crate) runs_on: RunsOn,
    pub(crate) dag_bundle: Option<Bundle>,
    pub(crate) dbt: BTreeMap<MountPath, Bundle>,
    pub(crate) mode: DagDeployMode,
}

/// The SHA-256 digest of a revision, which a permit binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RevisionDigest(Sha256Digest);

impl RevisionDigest {
    /// A digest that was stored.
    pub(crate) const fn stored(digest: Sha256Digest) -> Self {
        Self(digest)
    }
}

impl fmt::Display for RevisionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names the encoding below. Another encoding is another version.
const ENCODING: &str = "reprise.revision.v1";

impl Revision {
    /// The digest of the revision, over one unambiguous encoding of all of it.
    ///
    /// The encoding is the text `reprise.revision.v1` and then, in this order: image repository, tag
    /// (optional), digest; Runtime version (optional); Airflow version (optional); DAG bundle
    /// (optional); the number of dbt bundles and each of them in the order of its mount path (by
    /// bytes), as mount path and bundle; DAG deploy mode. A text is its length in bytes and its
    /// UTF-8 bytes. A bundle is the text of its SHA-256 in hexadecimal digits and its size. What is
    /// optional is one byte, 0 for none, or 1 and the value. Lengths, sizes and numbers are 8 bytes,
    /// the highest first.
    pub(crate) fn digest(&self) -> RevisionDigest {
        let Self {
            image,
            runs_on,
            dag_bundle,
            dbt,
            mode,
        } = self;
        let Image {
            repository,
            tag,
            digest,
        } = image;
        let mut encoding = Encoding(Sha256::new());
        encoding.text(ENCODING);
        encoding.text(repository.as_str());
        encoding.optional(tag.as_ref(), |encoding, tag| encoding.text(tag.as_str()));
        encoding.text(&digest.to_string());
        encoding.optional(runs_on.runtime(), |encoding, version| {
            encoding.text(version.as_str())
        });
        encoding.optional(runs_on.airflow(), |encoding, version| {
            encoding.text(version.as_str())
        });
        encoding.optional(dag_bundle.as_ref(), Encoding::bundle);
        encoding.number(u64::try_from(dbt.len()).unwrap_or(u64::MAX));
        for (mount_path, bundle) in dbt {
            encoding.text(mount_path.as_str());
            encoding.bundle(bundle);
        }
        encoding.text(mode.as_str());
        RevisionDigest(Sha256Digest::new(encoding.0.finalize().into()))
    }

    /// Every bundle that the revision needs, none twice.
    pub(crate) fn bundles(&self) -> BTreeMap<Sha256Digest, Bundle> {
        let all = self.dag_bundle.iter().chain(self.dbt.values());
        all.map(|bundle| (bundle.sha256, *bundle)).collect()
    }
}

struct Encoding(Sha256);

impl Encoding {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.0.update(text.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, encode: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.0.update([0]),
            Some(value) => {
                self.0.update([1]);
                encode(self, value);
            }
        }
    }

    fn bundle(&mut self, bundle: &Bundle) {
        let Bundle { sha256, size } = bundle;
        self.text(&sha256.to_string());
        self.number(size.bytes());
    }
}

/// A part of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    /// The image, compared by digest.
    Image,
    RuntimeVersion,
    AirflowVersion,
    DagBundle,
    DbtBundles,
    DagDeployMode,
}

impl Component {
    const ALL: [Self; 6] = [
        Self::Image,
        Self::RuntimeVersion,
        Self::AirflowVersion,
        Self::DagBundle,
        Self::DbtBundles,
        Self::DagDeployMode,
    ];

    /// The text that is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "IMAGE",
            Self::RuntimeVersion => "RUNTIME_VERSION",
            Self::AirflowVersion => "AIRFLOW_VERSION",
            Self::DagBundle => "DAG_BUNDLE",
            Self::DbtBundles => "DBT_BUNDLES",
            Self::DagDeployMode => "DAG_DEPLOY_MODE",
        }
    }

    /// The component of a stored text.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|component| component.as_str() == text)
    }
}

/// The parts in which `after` differs from `before`; the first revision differs in all that it has.
///
/// An image is compared by its digest, whatever it is called: that is what runs. The DAG deploy mode
/// is the Deployment's before it is the revision's, so that the first revision does not change it.
pub(crate) fn changed_components(before: Option<&Revision>, after: &Revision) -> Vec<Component> {
    let Some(before) = before else {
        let Revision {
            image: _,
            runs_on,
            dag_bundle,
            dbt,
            mode: _,
        } = after;
        return select(|component| match component {
            Component::Image => true,
            Component::RuntimeVersion => runs_on.runtime().is_some(),
            Component::AirflowVersion => runs_on.airflow().is_some(),
            Component::DagBundle => dag_bundle.is_some(),
            Component::DbtBundles => !dbt.is_empty(),
            Component::DagDeployMode => false,
        });
    };
    select(|component| match component {
        Component::Image => before.image.digest != after.image.digest,
        Component::RuntimeVersion => before.runs_on.runtime() != after.runs_on.runtime(),
        Component::AirflowVersion => before.runs_on.airflow() != after.runs_on.airflow(),
        Component::DagBundle => before.dag_bundle != after.dag_bundle,
        Component::DbtBundles => before.dbt != after.dbt,
        Component::DagDeployMode => before.mode != after.mode,
    })
}

fn select(keep: impl Fn(Component) -> bool) -> Vec<Component> {
    Component::ALL
        .into_iter()
        .filter(|component| keep(*component))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::BundleSize;

    /// A revision of an image alone.
    pub(crate) fn image_only(mode: DagDeployMode, digit: char, runtime: &str) -> Revision {
        Revision {
            image: Image {
                repository: "registry.example.com/data/etl".parse().unwrap(),
                tag: Some("1.4".parse().unwrap()),
                digest: format!("sha256:{}", digit.to_string().repeat(64))
                    .parse()
                    .unwrap(),
            },
            runs_on: RunsOn::exactly(Some(runtime.parse().unwrap()), None).unwrap(),
            dag_bundle: None,
            dbt: BTreeMap::new(),
            mode,
        }
    }

    pub(crate) fn bundle(digit: char) -> Bundle {
        Bundle {
            sha256: digit.to_string().repeat(64).parse().unwrap(),
            size: BundleSize::new(1_024).unwrap(),
        }
    }

    fn full() -> Revision {
        let runtime = Some("3.1-9".parse().unwrap());
        let airflow = Some("3.1.5".parse().unwrap());
        Revision {
            runs_on: RunsOn::exactly(runtime, airflow).unwrap(),
            dag_bundle: Some(bundle('b')),
            dbt: BTreeMap::from([
                ("/usr/local/airflow/dbt/sales".parse().unwrap(), bundle('c')),
                ("/usr/local/airflow/dbt/hr".parse().unwrap(), bundle('d')),
            ]),
            ..image_only(DagDeployMode::DagOnly, 'a', "3.1-9")
        }
    }

    #[test]
    fn the_digest_of_a_revision_never_changes() {
        // Computed by another program from the description of the encoding; permits bind it.
        let least = image_only(DagDeployMode::Image, 'a', "12.0.0");
        for (revision, expected) in [
            (
                full(),
                "91963c5ff75dc9c914bf34c7c5bdabedf2efb9799af0c7dbc62da81552cc10b7",
            ),
            (
                least,
                "379c8333409a9beab56a78521432feeecb7ae6afae27abc2e692c0e0eae634a7",
            ),
        ] {
            assert_eq!(revision.digest().to_string(), expected);
        }
    }

    #[test]
    fn every_part_of_a_revision_counts_in_its_digest() {
        let variants: [fn(&mut Revision); 13] = [
            |_| {},
            |r| r.image.repository = "registry.example.com/data/etl2".parse().unwrap(),
            |r| r.image.tag = None,
            |r| r.image.tag = Some("1.5".parse().unwrap()),
            |r| r.image.digest = format!("sha256:{}", "f".repeat(64)).parse().unwrap(),
            |r| r.runs_on = RunsOn::exactly(Some("3.1-9".parse().unwrap()), None).unwrap(),
            |r| r.runs_on = RunsOn::exactly(None, Some("3.1.5".parse().unwrap())).unwrap(),
            |r| r.dag_bundle = None,
            |r| r.dag_bundle = Some(bundle('e')),
            |r| r.dag_bundle.as_mut().unwrap().size = BundleSize::new(1_025).unwrap(),
            |r| r.dbt.clear(),
            |r| *r.dbt.values_mut().next().unwrap() = bundle('e'),
            |r| r.mode = DagDeployMode::GitSync,
        ];
        let digests = variants.map(|change| {
            let mut revision = full();
            change(&mut revision);
            revision.digest().to_string()
        });
        let unique = std::collections::BTreeSet::from(digests.clone());
        assert_eq!(unique.len(), digests.len());
    }

    /// What is changed about a revision, and the components that are found to differ then.
    type Change = (fn(&mut Revision), &'static [Component]);

    #[test]
    fn changed_components_are_those_that_differ() {
        use Component::{AirflowVersion, DagBundle, DagDeployMode, DbtBundles, RuntimeVersion};

        let moved_tag = |r: &mut Revision| {
            r.image.tag = Some("2.0".parse().unwrap());
            r.image.repository = "mirror.example.com/etl".parse().unwrap();
        };
        let cases: [Change; 7] = [
            (|_| {}, &[]),
            (moved_tag, &[]),
            (
                |r| r.image.digest = format!("sha256:{}", "f".repeat(64)).parse().unwrap(),
                &[Component::Image],
            ),
            (
                |r| r.runs_on = RunsOn::exactly(Some("3.1-8".parse().unwrap()), None).unwrap(),
                &[RuntimeVersion, AirflowVersion],
            ),
            (|r| r.dag_bundle = None, &[DagBundle]),
            (|r| r.dbt.clear(), &[DbtBundles]),
            (|r| r.mode = model::DagDeployMode::Image, &[DagDeployMode]),
        ];
        for (change, expected) in cases {
            let mut after = full();
            change(&mut after);
            assert_eq!(changed_components(Some(&full()), &after), expected);
        }
    }

    #[test]
    fn the_first_revision_changes_all_that_it_has() {
        let runtime_only = image_only(DagDeployMode::DagOnly, 'a', "3.1-9");
        assert_eq!(
            changed_components(None, &runtime_only),
            [Component::Image, Component::RuntimeVersion]
        );
        assert_eq!(changed_components(None, &full()).len(), 5);
    }

    #[test]
    fn a_stored_component_is_read_back() {
        for component in Component::ALL {
            assert_eq!(Component::from_text(component.as_str()), Some(component));
        }
        assert_eq!(Component::from_text("image"), None);
    }
}
