use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::VersionError;
use super::parse::{self, Maturity};

/// A series of Airflow: the `2.10` of `2.10.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AirflowSeries {
    /// The major version.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
}

impl fmt::Display for AirflowSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The numbers of an Airflow release: `2.10.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AirflowRelease {
    /// The major version.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
    /// The patch.
    pub patch: u32,
}

impl AirflowRelease {
    /// The release with these numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }
}

impl fmt::Display for AirflowRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A version of Apache Airflow, such as `2.10.5` or `3.1.0rc1`.
///
/// See the [module](super) for its forms and its order. `Display` gives back the text that was
/// parsed, without a leading `v`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AirflowVersion {
    release: AirflowRelease,
    maturity: Maturity,
    text: Arc<str>,
}

impl AirflowVersion {
    /// The series that the version belongs to.
    #[must_use]
    pub const fn series(&self) -> AirflowSeries {
        AirflowSeries {
            major: self.release.major,
            minor: self.release.minor,
        }
    }

    /// The numbers of the release that this version is, or is a pre-release of.
    #[must_use]
    pub const fn release(&self) -> AirflowRelease {
        self.release
    }

    /// Whether the version lies below the release of the same numbers.
    #[must_use]
    pub fn is_pre_release(&self) -> bool {
        self.maturity < Maturity::RELEASE
    }

    /// Compares by rank and ignores variants: `2.7.1` and `2.7.1+astro.1` are equal here.
    #[must_use]
    pub fn release_cmp(&self, other: &Self) -> Ordering {
        (self.release, self.maturity).cmp(&(other.release, other.maturity))
    }

    /// Whether the version is the given release or a later one. A pre-release of it is not.
    #[must_use]
    pub fn is_at_least(&self, release: AirflowRelease) -> bool {
        (self.release, self.maturity) >= (release, Maturity::RELEASE)
    }

    /// The text that was parsed, without a leading `v`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<AirflowRelease> for AirflowVersion {
    fn from(release: AirflowRelease) -> Self {
        Self {
            release,
            maturity: Maturity::RELEASE,
            text: release.to_string().into(),
        }
    }
}

impl FromStr for AirflowVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let text = parse::trimmed(text)?;
        let (major, rest) = parse::number(text, VersionError::Airflow)?;
        let rest = rest.strip_prefix('.').ok_or(VersionError::Airflow)?;
        let (minor, rest) = parse::number(rest, VersionError::Airflow)?;
        let rest = rest.strip_prefix('.').ok_or(VersionError::Airflow)?;
        let (patch, rest) = parse::number(rest, VersionError::Airflow)?;

        // What follows a plus sign names a build and says nothing of its rank (PEP 440).
        let (public, local) = match rest.split_once('+') {
            Some((public, local)) => (public, Some(local)),
            None => (rest, None),
        };
        if !local.is_none_or(parse::is_list_of_words) {
            return Err(VersionError::Suffix);
        }
        let maturity = if public.is_empty() {
            Maturity::RELEASE
        } else {
            let suffix = public.strip_prefix(['.', '-', '_']).unwrap_or(public);
            parse::suffix(suffix, parse::PYTHON_WORDS)?
        };
        let release = AirflowRelease {
            major,
            minor,
            patch,
        };
        Ok(Self {
            release,
            maturity,
            text: text.into(),
        })
    }
}

impl Ord for AirflowVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.release_cmp(other)
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for AirflowVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for AirflowVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for AirflowVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AirflowVersion({})", self.text)
    }
}
