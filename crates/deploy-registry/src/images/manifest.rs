//! What of a manifest and of an image's configuration is read.
//!
//! Forms: OCI image specification 1.1 (image manifest, image index, configuration) and Docker's
//! image manifest 2, schema 2, whose fields have the same names.

use std::collections::BTreeMap;

use model::{AirflowVersion, ImageDigest, Sha256Digest};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::domain::ImageVersions;

/// What is accepted as a manifest: of one image, or of one image for several platforms.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// The labels that tell the versions. Astronomer's images carry the first two
/// (`airflow/constants.go` of astro-cli), Apache's the third (`LABEL` in Airflow's `Dockerfile`).
const RUNTIME_LABEL: &str = "io.astronomer.docker.runtime.version";
const AIRFLOW_LABELS: [&str; 2] = [
    "io.astronomer.docker.airflow.version",
    "org.apache.airflow.version",
];

/// A manifest as it came.
pub(super) struct Manifest {
    pub(super) digest: ImageDigest,
    body: Vec<u8>,
}

/// Where a manifest leads on the way to the configuration of an image.
pub(super) enum Next {
    /// The manifest of the image for one of several platforms.
    Manifest(ImageDigest),
    /// The configuration.
    Config(ImageDigest),
    /// Nowhere: it is the manifest of something else, or of a form that is no longer used.
    Nothing,
}

#[derive(Deserialize)]
struct Document {
    config: Option<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
}

#[derive(Deserialize)]
struct ImageConfig {
    config: Option<ContainerConfig>,
}

#[derive(Deserialize)]
struct ContainerConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Manifest {
    pub(super) fn new(body: Vec<u8>) -> Self {
        Self {
            digest: digest(&body),
            body,
        }
    }

    /// Where it leads. Of several platforms the first counts that is one: an index also lists
    /// attestations, for the platform `unknown`.
    pub(super) fn next(&self) -> Next {
        let Ok(Document { config, manifests }) = serde_json::from_slice(&self.body) else {
            return Next::Nothing;
        };
        let is_image = |entry: &&Descriptor| {
            let platform = entry.platform.as_ref();
            platform.is_none_or(|platform| platform.os != "unknown")
        };
        let image = manifests.iter().find(is_image);
        let parse = |entry: &Descriptor| entry.digest.parse().ok();
        if let Some(digest) = image.and_then(parse) {
            Next::Manifest(digest)
        } else if let Some(digest) = config.as_ref().and_then(parse) {
            Next::Config(digest)
        } else {
            Next::Nothing
        }
    }
}

/// The digest of these bytes.
pub(super) fn digest(body: &[u8]) -> ImageDigest {
    ImageDigest::new(Sha256Digest::new(Sha256::digest(body).into()))
}

/// The versions that the labels of an image tell. What cannot be read tells nothing.
pub(super) fn versions(config: &[u8]) -> ImageVersions {
    let config = serde_json::from_slice::<ImageConfig>(config).ok();
    let labels = config.and_then(|config| config.config?.labels);
    let labels = labels.unwrap_or_default();
    ImageVersions {
        runtime: labels.get(RUNTIME_LABEL).and_then(|text| text.parse().ok()),
        airflow: AIRFLOW_LABELS
            .iter()
            .find_map(|label| airflow(labels.get(*label)?)),
    }
}

/// Astronomer's builds of Airflow add their own number to its version: `3.3.1+astro.4`.
fn airflow(label: &str) -> Option<AirflowVersion> {
    let version = label.split_once('+').map_or(label, |(version, _)| version);
    version.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(labels: &str) -> ImageVersions {
        versions(format!(r#"{{"os": "linux", "config": {{"Labels": {labels}}}}}"#).as_bytes())
    }

    #[test]
    fn the_labels_of_both_vendors_are_read() {
        for (labels, runtime, airflow) in [
            (
                r#"{"io.astronomer.docker.runtime.version": "3.3-7",
                    "io.astronomer.docker.airflow.version": "3.3.1+astro.4"}"#,
                Some("3.3-7"),
                Some("3.3.1"),
            ),
            (
                r#"{"org.apache.airflow.version": "2.10.5", "maintainer": "x"}"#,
                None,
                Some("2.10.5"),
            ),
            (
                r#"{"io.astronomer.docker.runtime.version": "newest",
                    "org.apache.airflow.version": ""}"#,
                None,
                None,
            ),
            ("{}", None, None),
            ("null", None, None),
            ("[1]", None, None),
        ] {
            let found = config(labels);
            assert_eq!(
                found.runtime.as_ref().map(|v| v.as_str()),
                runtime,
                "{labels}"
            );
            assert_eq!(
                found.airflow.as_ref().map(|v| v.as_str()),
                airflow,
                "{labels}"
            );
        }
        assert_eq!(versions(b"not json"), ImageVersions::default());
        assert_eq!(versions(b"{}"), ImageVersions::default());
    }

    #[test]
    fn a_manifest_leads_to_a_platform_or_a_configuration() {
        let one = digest(b"1");
        let next = |text: String| Manifest::new(text.into_bytes()).next();
        let platform = |os: &str, digest: ImageDigest| {
            format!(r#"{{"digest": "{digest}", "platform": {{"os": "{os}"}}}}"#)
        };
        let index = format!(
            r#"{{"manifests": [{}, {}]}}"#,
            platform("unknown", digest(b"2")),
            platform("linux", one)
        );
        assert!(matches!(next(index), Next::Manifest(found) if found == one));
        let image = format!(r#"{{"config": {{"digest": "{one}"}}, "layers": []}}"#);
        assert!(matches!(next(image), Next::Config(found) if found == one));
        for other in [
            "{}",
            "[]",
            "",
            r#"{"config": {"digest": "md5:1"}}"#,
            r#"{"schemaVersion": 1, "fsLayers": []}"#,
        ] {
            assert!(matches!(next(other.to_owned()), Next::Nothing), "{other}");
        }
    }
}
