//! The place of the bundles, as an operator writes it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use object_store::path::Path;

/// Where the bundles are kept: a folder, as a path or a `file://` URL, or a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleStoreUrl(pub(super) Place);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Folder(PathBuf),
    Bucket {
        cloud: Cloud,
        bucket: String,
        /// What the names of all objects begin with; empty for nothing.
        prefix: Path,
    },
}

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cloud {
    S3,
    Gcs,
    Azure,
}

impl Cloud {
    const ALL: [Self; 3] = [Self::S3, Self::Gcs, Self::Azure];

    const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }
}

/// A text that is no place for bundles.
#[derive(Debug, thiserror::Error)]
#[error(
    "bundles are kept in a folder or a bucket: give a path, file:///path/to/folder, \
     s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
)]
pub struct BundleStoreUrlError;

impl BundleStoreUrl {
    /// A folder, which is created if it is missing.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self(Place::Folder(path.into()))
    }
}

impl FromStr for BundleStoreUrl {
    type Err = BundleStoreUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => path,
            Some((scheme, rest)) => return bucket(scheme, rest).ok_or(BundleStoreUrlError),
            None => text,
        };
        if path.is_empty() || path.contains('\0') {
            return Err(BundleStoreUrlError);
        }
        Ok(Self::folder(path))
    }
}

fn bucket(scheme: &str, rest: &str) -> Option<BundleStoreUrl> {
    let cloud = Cloud::ALL
        .into_iter()
        .find(|cloud| cloud.scheme() == scheme)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    if bucket.is_empty() || !bucket.bytes().all(allowed) {
        return None;
    }
    Some(BundleStoreUrl(Place::Bucket {
        cloud,
        bucket: bucket.to_owned(),
        prefix: Path::parse(prefix).ok()?,
    }))
}

impl fmt::Display for BundleStoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Folder(path) => path.display().fmt(f),
            Place::Bucket {
                cloud,
                bucket,
                prefix,
            } => write!(f, "{}://{bucket}/{prefix}", cloud.scheme()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_given_by_path_or_url() {
        for (text, folder) in [
            ("/var/lib/reprise/bundles", "/var/lib/reprise/bundles"),
            ("bundles", "bundles"),
            ("file:///var/lib/bundles", "/var/lib/bundles"),
        ] {
            assert_eq!(
                text.parse::<BundleStoreUrl>().unwrap(),
                BundleStoreUrl::folder(folder)
            );
        }
    }

    #[test]
    fn a_bucket_is_given_by_the_scheme_of_its_cloud() {
        for (text, shown) in [
            ("s3://bundles", "s3://bundles/"),
            ("s3://my-bundles/a/b/", "s3://my-bundles/a/b"),
            (
                "gs://my_bundles.example.com/a",
                "gs://my_bundles.example.com/a",
            ),
            ("az://container/a", "az://container/a"),
        ] {
            let url = text.parse::<BundleStoreUrl>().unwrap();
            assert_eq!(url.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "a\0b",
            "file://host/bundles",
            "file://",
            "s3://",
            "s3:///prefix",
            "s3://key:secret@bucket",
            "s3://bucket?x=y",
            "s3://bucket/a//b",
            "s3://bucket/../a",
            "http://bucket/a",
            "ftp://x",
        ] {
            assert!(text.parse::<BundleStoreUrl>().is_err(), "{text}");
        }
    }
}
