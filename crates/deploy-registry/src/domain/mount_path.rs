use std::fmt;
use std::str::FromStr;

const LONGEST: usize = 255;

/// Where a dbt project is mounted: an absolute path without `.`, `..`, empty parts or a slash at the
/// end, so that a path has one spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MountPath(String);

/// A text that is no mount path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a mount path is absolute and normal, as in /usr/local/airflow/dbt/sales, \
     of at most {LONGEST} characters"
)]
pub(crate) struct MountPathError;

impl MountPath {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MountPath {
    type Err = MountPathError;

    fn from_str(text: &str) -> Result<Self, MountPathError> {
        let parts = text.strip_prefix('/').ok_or(MountPathError)?;
        let normal = parts
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".."));
        let short = text.chars().count() <= LONGEST;
        if normal && short && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(MountPathError)
        }
    }
}

impl fmt::Display for MountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_path_is_absolute_and_normal() {
        let longest = format!("/{}", "é".repeat(LONGEST - 1));
        for good in [
            "/a",
            "/usr/local/airflow/dbt/sales",
            "/a b/..c",
            longest.as_str(),
        ] {
            assert_eq!(good.parse::<MountPath>().unwrap().as_str(), good);
        }
        let too_long = format!("{longest}x");
        let bad = [
            "", "/", "a", "a/b", "/a/", "//a", "/a//b", "/.", "/a/../b", "/a\0", "/a\nb",
        ];
        for bad in bad.into_iter().chain([too_long.as_str()]) {
            assert_eq!(bad.parse::<MountPath>(), Err(MountPathError), "{bad:?}");
        }
    }
}
