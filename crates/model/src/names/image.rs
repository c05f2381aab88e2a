use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;

use super::NameError;

/// Where an image lies, without tag and digest: `registry.example.com:5000/team/airflow`.
///
/// The path follows the OCI distribution specification. The first part is a registry's host as
/// container tools read it: if it has a period or a colon, or is `localhost`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRepository(Arc<str>);

impl ImageRepository {
    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host of the registry with its port, if the repository names one.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        split_registry(&self.0).0
    }

    /// The path inside the registry.
    #[must_use]
    pub fn path(&self) -> &str {
        split_registry(&self.0).1
    }
}

impl FromStr for ImageRepository {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (registry, path) = split_registry(text);
        let valid = text.len() <= 255
            && registry.is_none_or(is_registry)
            && path.split('/').all(is_path_component);
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(NameError::ImageRepository)
        }
    }
}

impl fmt::Display for ImageRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn split_registry(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((first, path)) if first == "localhost" || first.contains(['.', ':']) => {
            (Some(first), path)
        }
        Some(_) | None => (None, text),
    }
}

fn is_registry(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            address.parse::<Ipv6Addr>().is_ok()
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    match text.split_once(':') {
        Some((host, port)) => is_host(host) && is_port(port),
        None => is_host(text),
    }
}

fn is_host(text: &str) -> bool {
    text.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let in_run = |byte: char| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edges = text.starts_with(in_run) && text.ends_with(in_run);
    let mut separators = text.split(in_run).filter(|separator| !separator.is_empty());
    edges
        && separators.all(|separator| {
            matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

/// The tag of an image: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`. It can be moved to another image, so
/// that nothing is ever brought back by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageTag(Arc<str>);

impl ImageTag {
    /// The text of the tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageTag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let valid = (1..=128).contains(&text.len())
            && !text.starts_with(['.', '-'])
            && text.bytes().all(allowed);
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(NameError::ImageTag)
        }
    }
}

impl fmt::Display for ImageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
