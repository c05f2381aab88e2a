//! Credentials for image registries, from a Docker configuration file.
//!
//! The form is that of `docker login` and of Kubernetes' `.dockerconfigjson`:
//! `{"auths": {"registry.example.com": {"auth": "base64(user:password)"}}}`, or `username` and
//! `password` in the place of `auth`. The file is read for each look-up, so that a password that is
//! changed on the disk counts at once. No credential helper is ever run.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::io::AsyncReadExt;

use super::host::Host;

/// The largest file that is read.
const MOST_BYTES: u64 = 1024 * 1024;

/// Why there are no credentials for a registry that should have some.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read the Docker configuration {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the Docker configuration {} has more than {MOST_BYTES} bytes", path.display())]
    TooLarge { path: PathBuf },
    // Not with the error of the parser, which could show a part of the file.
    #[error("the Docker configuration {} is no JSON of the expected form", path.display())]
    Malformed { path: PathBuf },
    #[error(
        "the Docker configuration {} leaves {host} to a credential helper, and none is run: give \
         username and password, or auth, under auths",
        path.display()
    )]
    Helper { path: PathBuf, host: String },
    #[error(
        "the Docker configuration {} has no usable username and password for {host}: give both, or \
         auth as base64 of username:password; identity tokens are not taken",
        path.display()
    )]
    Unusable { path: PathBuf, host: String },
}

/// A user name and a password, as they are sent.
#[derive(Clone)]
pub(super) struct Credentials(HeaderValue);

impl Credentials {
    fn new(username: &str, password: &str) -> Option<Self> {
        let pair = STANDARD.encode(format!("{username}:{password}"));
        let mut header = HeaderValue::from_str(&format!("Basic {pair}")).ok()?;
        header.set_sensitive(true);
        Some(Self(header))
    }

    /// The value of the `authorization` header, which nothing shows.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

impl Entry {
    fn is_empty(&self) -> bool {
        let Self {
            auth,
            username,
            password,
        } = self;
        auth.is_empty() && username.is_empty() && password.is_empty()
    }

    fn credentials(&self) -> Option<Credentials> {
        let Self {
            auth,
            username,
            password,
        } = self;
        if auth.is_empty() {
            let whole = !username.is_empty() && !password.is_empty();
            return whole.then(|| Credentials::new(username, password))?;
        }
        let auth = auth.trim();
        let pair = STANDARD
            .decode(auth)
            .or_else(|_| STANDARD_NO_PAD.decode(auth));
        let pair = String::from_utf8(pair.ok()?).ok()?;
        let (username, password) = pair.split_once(':')?;
        Credentials::new(username, password)
    }
}

/// A Docker configuration file.
#[derive(Debug, Clone)]
pub(super) struct DockerConfig {
    path: PathBuf,
}

impl DockerConfig {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Whether the file can be read.
    pub(super) async fn check(&self) -> Result<(), Error> {
        self.read().await.map(|_| ())
    }

    /// What to log in to a registry with; none for one that the file says nothing of.
    pub(super) async fn credentials(&self, host: &Host) -> Result<Option<Credentials>, Error> {
        let Document {
            auths,
            helpers,
            store,
        } = self.read().await?;
        let path = self.path.clone();
        let named = |key: &String| host.is_named(key);
        if let Some((_, entry)) = auths
            .iter()
            .find(|(key, entry)| named(key) && !entry.is_empty())
        {
            let host = host.to_string();
            let unusable = Error::Unusable { path, host };
            return entry.credentials().ok_or(unusable).map(Some);
        }
        // `docker login` leaves an empty entry where the password went into the store.
        let stored = store.is_some() && auths.keys().any(named);
        if stored || helpers.keys().any(named) {
            let host = host.to_string();
            return Err(Error::Helper { path, host });
        }
        Ok(None)
    }

    async fn read(&self) -> Result<Document, Error> {
        let path = || self.path.clone();
        let unreadable = |source| Error::Unreadable {
            path: path(),
            source,
        };
        let file = tokio::fs::File::open(&self.path).await;
        let mut text = Vec::new();
        let mut file = file.map_err(unreadable)?.take(MOST_BYTES + 1);
        file.read_to_end(&mut text).await.map_err(unreadable)?;
        if file.limit() == 0 {
            return Err(Error::TooLarge { path: path() });
        }
        serde_json::from_slice(&text).map_err(|_| Error::Malformed { path: path() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn find(config: &str, registry: &str) -> Result<Option<String>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        let host = Host::of(&format!("{registry}/etl").parse().unwrap());
        let found = DockerConfig::new(path).credentials(&host).await?;
        Ok(found.map(|credentials| {
            let header = credentials.header();
            let pair = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
            String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap()
        }))
    }

    #[tokio::test]
    async fn credentials_are_found_by_the_host_of_a_registry() {
        let config = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOnNlY3JldA=="},
            "registry.example.com:5000": {"username": "ci", "password": "a:b"},
            "https://plain.example.com/v2/": {"auth": "dTpw"},
            "other.example.com": {}
        }, "HttpHeaders": {}}"#;
        for (registry, expected) in [
            ("docker.io/library", Some("hub:secret")),
            ("registry.example.com:5000", Some("ci:a:b")),
            ("registry.example.com", None),
            ("plain.example.com", Some("u:p")),
            ("other.example.com", None),
            ("evil.example.com", None),
        ] {
            let found = find(config, registry).await.unwrap();
            assert_eq!(found.as_deref(), expected, "{registry}");
        }
    }

    #[tokio::test]
    async fn a_registry_that_is_left_to_a_helper_is_told() {
        for config in [
            r#"{"credHelpers": {"r.example.com": "ecr-login"}}"#,
            r#"{"credsStore": "desktop", "auths": {"r.example.com": {}}}"#,
        ] {
            let error = find(config, "r.example.com").await.unwrap_err();
            assert!(error.to_string().contains("credential helper"), "{error}");
            assert_eq!(find(config, "public.example.com").await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_without_what_is_secret() {
        for config in [
            r#"{"auths": {"r.example.com": {"username": "hunter2"}}}"#,
            r#"{"auths": {"r.example.com": {"auth": "hunter2!"}}}"#,
            r#"{"auths": {"r.example.com": "hunter2"}}"#,
            "hunter2",
        ] {
            let error = find(config, "r.example.com").await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2"), "{text}");
            assert!(text.contains("config.json"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_too_large_or_missing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let config = DockerConfig::new(path.clone());
        assert!(matches!(
            config.check().await,
            Err(Error::Unreadable { path: _, source: _ })
        ));
        std::fs::write(&path, " ".repeat(1024 * 1024 + 1)).unwrap();
        assert!(matches!(
            config.check().await,
            Err(Error::TooLarge { path: _ })
        ));
        std::fs::write(&path, "{}").unwrap();
        config.check().await.unwrap();
    }

    #[test]
    fn a_password_is_not_shown() {
        let credentials = Credentials::new("ci", "hunter2").unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials { .. }");
        assert!(!format!("{:?}", credentials.header()).contains("Basic"));
    }
}
