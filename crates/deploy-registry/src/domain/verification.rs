use std::cmp::Ordering;
use std::fmt;

use model::{
    AirflowVersion, Catalog, ImageDigest, ImageRepository, ImageTag, RunsOn, RuntimeVersion,
};

use super::{Image, ShippedImage};

/// Whether image registries are asked about the images of deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VerificationMode {
    /// They are not.
    Off,
    /// They are, and a deploy that they do not confirm is recorded as such.
    Warn,
    /// They are, and a deploy that they do not confirm is refused.
    Require,
}

/// Whether the registry confirmed the image of a deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageVerification {
    Verified,
    /// It did not. The reason is for people.
    Unverified(String),
}

impl ImageVerification {
    const VERIFIED: &str = "VERIFIED";
    const UNVERIFIED: &str = "UNVERIFIED";

    /// The text that is stored, and the reason.
    pub(crate) const fn stored(&self) -> (&'static str, Option<&String>) {
        match self {
            Self::Verified => (Self::VERIFIED, None),
            Self::Unverified(reason) => (Self::UNVERIFIED, Some(reason)),
        }
    }

    /// What was stored.
    pub(crate) fn from_stored(text: &str, reason: Option<String>) -> Option<Self> {
        match (text, reason) {
            (Self::VERIFIED, None) => Some(Self::Verified),
            (Self::UNVERIFIED, Some(reason)) => Some(Self::Unverified(reason)),
            _ => None,
        }
    }
}

/// The versions inside an image, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ImageVersions {
    pub(crate) runtime: Option<RuntimeVersion>,
    pub(crate) airflow: Option<AirflowVersion>,
}

/// An image that a deploy is to ship, as the caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AskedImage {
    pub(crate) repository: ImageRepository,
    pub(crate) tag: Option<ImageTag>,
    pub(crate) digest: Option<ImageDigest>,
    /// The versions inside it, if the caller says them.
    pub(crate) runs_on: Option<RunsOn>,
    /// What of them the caller gave, without what the catalog added.
    pub(crate) given: ImageVersions,
}

/// An image that a registry has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundImage {
    pub(crate) digest: ImageDigest,
    /// What its labels say.
    pub(crate) versions: ImageVersions,
}

/// What a registry says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenImage {
    /// What the tag points to; none without a tag, and where there is none.
    pub(crate) tag_digest: Option<ImageDigest>,
    /// The image that was asked for by digest, or else by tag; none if it is not there.
    pub(crate) image: Option<FoundImage>,
}

/// Something about an image that the registry does not confirm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Doubt {
    #[error("the image registry does not have {0}")]
    Missing(String),
    #[error("tag {tag} does not exist: leave the tag out, or push it first")]
    TagMissing { tag: ImageTag },
    #[error(
        "tag {tag} points to {found} now: leave the tag or the digest out, or give both as they are"
    )]
    TagMoved { tag: ImageTag, found: ImageDigest },
    #[error("the labels of the image say {found}: give that, or leave the versions out")]
    Version { field: VersionField, found: String },
    /// The registry could not be asked.
    #[error("{0}")]
    Silent(String),
}

/// Which version a doubt is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VersionField {
    Runtime,
    Airflow,
}

/// What cannot be recorded, whatever the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    #[error("which image runs is not known")]
    Digest,
    #[error(
        "the image has no labels that tell its versions: set runtime_version or airflow_version"
    )]
    Versions,
}

impl AskedImage {
    /// Everything about the image that the registry does not confirm.
    pub(crate) fn doubts(&self, seen: &SeenImage) -> Vec<Doubt> {
        let SeenImage { tag_digest, image } = seen;
        let mut doubts = Vec::new();
        let Some(FoundImage { digest, versions }) = image else {
            return vec![Doubt::Missing(self.to_string())];
        };
        if let Some(tag) = &self.tag {
            match tag_digest {
                None => doubts.push(Doubt::TagMissing { tag: tag.clone() }),
                Some(found) if found != digest => doubts.push(Doubt::TagMoved {
                    tag: tag.clone(),
                    found: *found,
                }),
                Some(_) => {}
            }
        }
        let ImageVersions { runtime, airflow } = versions;
        if let (Some(given), Some(found)) = (&self.given.runtime, runtime)
            && given.release_cmp(found) != Ordering::Equal
        {
            doubts.push(Doubt::Version {
                field: VersionField::Runtime,
                found: format!("Runtime {found}"),
            });
        }
        if let (Some(given), Some(found)) = (&self.given.airflow, airflow)
            && given.release_cmp(found) != Ordering::Equal
        {
            doubts.push(Doubt::Version {
                field: VersionField::Airflow,
                found: format!("Airflow {found}"),
            });
        }
        doubts
    }

    /// The image as it is recorded. What the caller gave counts; what is not given comes from the
    /// registry.
    pub(crate) fn ship(
        self,
        found: Option<FoundImage>,
        catalog: &Catalog,
    ) -> Result<ShippedImage, Unknown> {
        let Self {
            repository,
            tag,
            digest,
            runs_on,
            given: _,
        } = self;
        let (found_digest, versions) = match found {
            Some(FoundImage { digest, versions }) => (Some(digest), versions),
            None => (None, ImageVersions::default()),
        };
        let ImageVersions { runtime, airflow } = versions;
        // What the labels say is so, whether the catalog knows it or not.
        let labelled = || RunsOn::recorded(runtime, airflow, catalog).ok();
        Ok(ShippedImage {
            image: Image {
                repository,
                tag,
                digest: digest.or(found_digest).ok_or(Unknown::Digest)?,
            },
            runs_on: runs_on.or_else(labelled).ok_or(Unknown::Versions)?,
        })
    }
}

impl fmt::Display for AskedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)?;
        match (self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, Some(tag)) => write!(f, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> ImageDigest {
        format!("sha256:{}", digit.to_string().repeat(64))
            .parse()
            .unwrap()
    }

    fn asked(tag: Option<&str>, digit: Option<char>, runtime: Option<&str>) -> AskedImage {
        let given = versions(runtime, None);
        let runs_on = RunsOn::new(given.runtime.clone(), None, &Catalog::built_in());
        AskedImage {
            repository: "registry.example.com/etl".parse().unwrap(),
            tag: tag.map(|tag| tag.parse().unwrap()),
            digest: digit.map(digest),
            runs_on: runs_on.ok(),
            given,
        }
    }

    fn versions(runtime: Option<&str>, airflow: Option<&str>) -> ImageVersions {
        ImageVersions {
            runtime: runtime.map(|text| text.parse().unwrap()),
            airflow: airflow.map(|text| text.parse().unwrap()),
        }
    }

    fn found(digit: char, runtime: Option<&str>, airflow: Option<&str>) -> FoundImage {
        FoundImage {
            digest: digest(digit),
            versions: versions(runtime, airflow),
        }
    }

    #[test]
    fn each_doubt_is_found() {
        let doubts = |asked: AskedImage, tag: Option<char>, image: Option<FoundImage>| {
            let tag_digest = tag.map(digest);
            asked.doubts(&SeenImage { tag_digest, image })
        };
        let image = || Some(found('a', Some("3.1-9"), Some("3.1.5")));
        assert_eq!(doubts(asked(Some("1"), None, None), Some('a'), image()), []);
        assert_eq!(
            doubts(asked(None, Some('a'), Some("3.1-9")), None, image()),
            []
        );
        let variant = asked(None, Some('a'), Some("3.1-9-base"));
        assert_eq!(doubts(variant, None, image()), []);

        let told = |asked, tag, image| {
            let doubts = doubts(asked, tag, image);
            doubts
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ")
        };
        for (asked, tag, image, text) in [
            (
                asked(Some("1"), None, None),
                None,
                None,
                "does not have registry.example.com/etl:1",
            ),
            (
                asked(Some("1"), Some('a'), None),
                Some('b'),
                image(),
                "tag 1 points to sha256:bbb",
            ),
            (
                asked(Some("1"), Some('a'), None),
                None,
                image(),
                "tag 1 does not exist",
            ),
            (
                asked(None, Some('a'), Some("3.1-10")),
                None,
                image(),
                "say Runtime 3.1-9",
            ),
        ] {
            let told = told(asked, tag, image);
            assert!(told.contains(text), "{told}");
        }
        let mut airflow = asked(Some("1"), Some('a'), Some("3.1-10"));
        airflow.given.airflow = Some("3.1.4".parse().unwrap());
        let told = told(airflow, Some('b'), image());
        for text in ["tag 1 points", "Runtime 3.1-9", "Airflow 3.1.5"] {
            assert!(told.contains(text), "{told}");
        }
    }

    #[test]
    fn what_is_not_given_comes_from_the_registry() {
        let catalog = Catalog::built_in();
        let ship = |asked: AskedImage, found| asked.ship(found, &catalog);
        let shipped = ship(
            asked(Some("1"), None, None),
            Some(found('a', Some("3.1-9"), None)),
        );
        let ShippedImage { image, runs_on } = shipped.unwrap();
        assert_eq!(image.digest, digest('a'));
        assert_eq!(runs_on.airflow().unwrap().as_str(), "3.1.5");

        // The catalog does not know this one, and the labels do.
        let new = found('a', Some("9.9-1"), Some("9.9.0"));
        let runs_on = ship(asked(Some("1"), None, None), Some(new))
            .unwrap()
            .runs_on;
        assert_eq!(runs_on.airflow().unwrap().as_str(), "9.9.0");

        let given = ship(
            asked(None, Some('b'), Some("3.1-10")),
            Some(found('a', Some("3.1-9"), None)),
        );
        let ShippedImage { image, runs_on } = given.unwrap();
        assert_eq!(image.digest, digest('b'));
        assert_eq!(runs_on.runtime().unwrap().as_str(), "3.1-10");

        let without = found('a', None, None);
        assert_eq!(
            ship(asked(Some("1"), None, None), Some(without)),
            Err(Unknown::Versions)
        );
        assert_eq!(
            ship(asked(Some("1"), None, Some("3.1-9")), None),
            Err(Unknown::Digest)
        );
    }
}
