//! What is stored as JSON. A document has a version, so that a later release can tell an old one.

use std::collections::BTreeMap;

use model::RunsOn;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::domain::{Bundle, BundleSize, GitSource, Image, MountPath, Revision};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct RevisionDocument {
    version: u32,
    image: ImageDocument,
    runtime_version: Option<String>,
    airflow_version: Option<String>,
    dag_bundle: Option<BundleDocument>,
    dbt_bundles: BTreeMap<String, BundleDocument>,
    dag_deploy_mode: String,
}

#[derive(Serialize, Deserialize)]
struct ImageDocument {
    repository: String,
    tag: Option<String>,
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct BundleDocument {
    sha256: String,
    size_bytes: i64,
}

#[derive(Serialize, Deserialize)]
struct GitDocument {
    version: u32,
    provider: String,
    repository: String,
    branch: String,
    commit_sha: String,
    author: String,
    commit_url: String,
}

pub(super) fn write_revision(revision: &Revision) -> Result<String, Error> {
    let Revision {
        image,
        runs_on,
        dag_bundle,
        dbt,
        mode,
    } = revision;
    let Image {
        repository,
        tag,
        digest,
    } = image;
    write(&RevisionDocument {
        version: VERSION,
        image: ImageDocument {
            repository: repository.to_string(),
            tag: tag.as_ref().map(ToString::to_string),
            digest: digest.to_string(),
        },
        runtime_version: runs_on.runtime().map(ToString::to_string),
        airflow_version: runs_on.airflow().map(ToString::to_string),
        dag_bundle: dag_bundle.as_ref().map(write_bundle),
        dbt_bundles: dbt
            .iter()
            .map(|(mount_path, bundle)| (mount_path.to_string(), write_bundle(bundle)))
            .collect(),
        dag_deploy_mode: mode.to_string(),
    })
}

pub(super) fn read_revision(text: &str) -> Result<Revision, Error> {
    let RevisionDocument {
        version,
        image,
        runtime_version,
        airflow_version,
        dag_bundle,
        dbt_bundles,
        dag_deploy_mode,
    } = read(text)?;
    check_version(version)?;
    let ImageDocument {
        repository,
        tag,
        digest,
    } = image;
    let runtime = runtime_version.map(|version| version.parse()).transpose();
    let airflow = airflow_version.map(|version| version.parse()).transpose();
    let runs_on = RunsOn::exactly(
        runtime.map_err(Error::corrupt)?,
        airflow.map_err(Error::corrupt)?,
    );
    let dbt = dbt_bundles.into_iter().map(|(mount_path, bundle)| {
        let mount_path = mount_path.parse::<MountPath>().map_err(Error::corrupt)?;
        Ok((mount_path, read_bundle(bundle)?))
    });
    Ok(Revision {
        image: Image {
            repository: repository.parse().map_err(Error::corrupt)?,
            tag: tag
                .map(|tag| tag.parse())
                .transpose()
                .map_err(Error::corrupt)?,
            digest: digest.parse().map_err(Error::corrupt)?,
        },
        runs_on: runs_on.map_err(Error::corrupt)?,
        dag_bundle: dag_bundle.map(read_bundle).transpose()?,
        dbt: dbt.collect::<Result<_, Error>>()?,
        mode: dag_deploy_mode.parse().map_err(Error::corrupt)?,
    })
}

pub(super) fn write_git(git: &GitSource) -> Result<String, Error> {
    let GitSource {
        provider,
        repository,
        branch,
        commit_sha,
        author,
        commit_url,
    } = git.clone();
    let version = VERSION;
    write(&GitDocument {
        version,
        provider,
        repository,
        branch,
        commit_sha,
        author,
        commit_url,
    })
}

pub(super) fn read_git(text: &str) -> Result<GitSource, Error> {
    let GitDocument {
        version,
        provider,
        repository,
        branch,
        commit_sha,
        author,
        commit_url,
    } = read(text)?;
    check_version(version)?;
    Ok(GitSource {
        provider,
        repository,
        branch,
        commit_sha,
        author,
        commit_url,
    })
}

/// Labels and settings: the operator's own texts by the operator's own keys.
pub(super) fn write_map(map: &BTreeMap<String, String>) -> Result<String, Error> {
    write(map)
}

pub(super) fn read_map(text: &str) -> Result<BTreeMap<String, String>, Error> {
    read(text)
}

fn write_bundle(bundle: &Bundle) -> BundleDocument {
    let Bundle { sha256, size } = bundle;
    BundleDocument {
        sha256: sha256.to_string(),
        size_bytes: size.get(),
    }
}

fn read_bundle(document: BundleDocument) -> Result<Bundle, Error> {
    let BundleDocument { sha256, size_bytes } = document;
    Ok(Bundle {
        sha256: sha256.parse().map_err(Error::corrupt)?,
        size: BundleSize::new(size_bytes).ok_or_else(|| Error::corrupt("a bundle of no bytes"))?,
    })
}

fn check_version(version: u32) -> Result<(), Error> {
    if version == VERSION {
        Ok(())
    } else {
        Err(Error::corrupt(format!("a document of version {version}")))
    }
}

fn write(document: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(document).map_err(Error::corrupt)
}

fn read<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(Error::corrupt)
}
