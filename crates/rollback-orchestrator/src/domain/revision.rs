//! What a deploy runs, and in what two of them differ.

use std::fmt;

use model::catalog::Catalog;
use model::compatibility::{RunsOn, RunsOnError};
use model::deploys::DagDeployMode;
use model::names::{ImageDigest, Sha256Digest};
use model::runtime::{AirflowVersion, RuntimeVersion};

/// What runs after a deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revision {
    pub(crate) image: Option<Image>,
    pub(crate) runtime: Option<RuntimeVersion>,
    pub(crate) airflow: Option<AirflowVersion>,
    pub(crate) dag_bundle: Option<Bundle>,
    /// By mount path.
    pub(crate) dbt_bundles: Vec<DbtBundle>,
    pub(crate) mode: DagDeployMode,
}

/// A container image. Its tag is for people: what runs is the digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) repository: String,
    pub(crate) tag: String,
    pub(crate) digest: ImageDigest,
}

/// A bundle of DAGs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bundle {
    pub(crate) sha256: Sha256Digest,
    pub(crate) size_bytes: i64,
}

/// A dbt project and where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DbtBundle {
    pub(crate) mount_path: String,
    pub(crate) bundle: Bundle,
}

/// A part of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Component {
    Image,
    RuntimeVersion,
    AirflowVersion,
    DagBundle,
    DbtBundles,
    DagDeployMode,
}

/// A component that differs. Empty text stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) component: Component,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Revision {
    /// The versions that the revision runs on.
    pub(crate) fn runs_on(&self, catalog: &Catalog) -> Result<RunsOn, RunsOnError> {
        RunsOn::recorded(self.runtime.clone(), self.airflow.clone(), catalog)
    }

    /// In what `to` differs from this revision.
    pub(crate) fn changes(&self, to: &Self) -> Vec<Change> {
        let Self {
            image,
            runtime,
            airflow,
            dag_bundle,
            dbt_bundles,
            mode,
        } = self;
        let digest = |image: &Option<Image>| image.as_ref().map(|image| image.digest);
        let sha256 = |bundle: &Option<Bundle>| bundle.as_ref().map(|bundle| bundle.sha256);
        let change = |component, from: String, to: String| Change {
            component,
            from,
            to,
        };

        let mut changes = Vec::new();
        if digest(image) != digest(&to.image) {
            changes.push(change(Component::Image, text(image), text(&to.image)));
        }
        if *runtime != to.runtime {
            changes.push(change(
                Component::RuntimeVersion,
                text(runtime),
                text(&to.runtime),
            ));
        }
        if *airflow != to.airflow {
            changes.push(change(
                Component::AirflowVersion,
                text(airflow),
                text(&to.airflow),
            ));
        }
        if sha256(dag_bundle) != sha256(&to.dag_bundle) {
            changes.push(change(
                Component::DagBundle,
                text(dag_bundle),
                text(&to.dag_bundle),
            ));
        }
        if !same_projects(dbt_bundles, &to.dbt_bundles) {
            let (from, to) = (list(dbt_bundles), list(&to.dbt_bundles));
            changes.push(change(Component::DbtBundles, from, to));
        }
        if *mode != to.mode {
            changes.push(change(
                Component::DagDeployMode,
                mode.to_string(),
                to.mode.to_string(),
            ));
        }
        changes
    }
}

fn same_projects(from: &[DbtBundle], to: &[DbtBundle]) -> bool {
    let identity = |dbt: &DbtBundle| (dbt.mount_path.clone(), dbt.bundle.sha256);
    from.iter().map(identity).eq(to.iter().map(identity))
}

fn text<T: fmt::Display>(value: &Option<T>) -> String {
    value.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn list(dbt_bundles: &[DbtBundle]) -> String {
    dbt_bundles
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

impl fmt::Display for Image {
    /// `registry.example.com/data/etl:v3@sha256:…`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            repository,
            tag,
            digest,
        } = self;
        f.write_str(repository)?;
        if !tag.is_empty() {
            write!(f, ":{tag}")?;
        }
        write!(f, "@{digest}")
    }
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sha256, size_bytes } = self;
        write!(f, "sha256:{sha256} ({size_bytes} bytes)")
    }
}

impl fmt::Display for DbtBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mount_path, bundle } = self;
        write!(f, "{mount_path} {bundle}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;

    fn components(from: &Revision, to: &Revision) -> Vec<Component> {
        from.changes(to)
            .into_iter()
            .map(|change| change.component)
            .collect()
    }

    #[test]
    fn every_component_that_differs_is_a_change() {
        let from = samples::revision();
        type Edit = fn(&mut Revision);
        let cases: &[(Component, Edit)] = &[
            (Component::Image, |to| to.image = Some(samples::image(9))),
            (Component::Image, |to| to.image = None),
            (Component::RuntimeVersion, |to| {
                to.runtime = Some("3.2-2".parse().unwrap())
            }),
            (Component::AirflowVersion, |to| to.airflow = None),
            (Component::DagBundle, |to| {
                to.dag_bundle = Some(samples::bundle(9))
            }),
            (Component::DbtBundles, |to| {
                to.dbt_bundles = vec![samples::dbt("/dbt/a", 1)]
            }),
            (Component::DagDeployMode, |to| {
                to.mode = DagDeployMode::Image
            }),
        ];
        for (component, edit) in cases {
            let mut to = from.clone();
            edit(&mut to);
            assert_eq!(components(&from, &to), [*component]);
            assert_eq!(components(&to, &from), [*component]);
        }
        assert_eq!(components(&from, &from), []);
    }

    #[test]
    fn a_moved_tag_is_no_change() {
        let from = samples::revision();
        let mut to = from.clone();
        to.image.as_mut().unwrap().tag = "latest".to_owned();
        assert_eq!(components(&from, &to), []);
    }

    #[test]
    fn a_change_shows_digests() {
        let from = samples::revision();
        let to = Revision {
            image: Some(samples::image(9)),
            dag_bundle: None,
            dbt_bundles: vec![samples::dbt("/dbt/a", 1), samples::dbt("/dbt/b", 2)],
            ..from.clone()
        };
        let changes = from.changes(&to);
        let digest = "09".repeat(32);
        assert_eq!(
            changes[0].to,
            format!("registry.example.com/data/etl:v9@sha256:{digest}")
        );
        assert_eq!(
            changes[1].from,
            format!("sha256:{} (1000 bytes)", "01".repeat(32))
        );
        assert_eq!(changes[1].to, "");
        assert_eq!(
            changes[2].to,
            format!(
                "/dbt/a sha256:{} (1000 bytes), /dbt/b sha256:{} (1000 bytes)",
                "01".repeat(32),
                "02".repeat(32)
            )
        );
    }
}
