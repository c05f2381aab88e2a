//! Issuers of tokens that are not ours: the identity providers of people.

use std::fmt;
use std::sync::Arc;

use model::PrincipalId;
use reqwest::Url;
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::is_loopback;

/// Where a provider's discovery document is, after the issuer (OpenID Connect Discovery 1.0).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// No prefix needs to be longer, and there must be room for a name after it.
const MAX_PREFIX: usize = 64;

/// How an identity provider signs. Never with a secret that both sides know, and never not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names of RFC 7518 and RFC 8037")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// The algorithm that a header or a key names, if it is one of ours.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
            name.into_deserializer();
        Self::deserialize(name).ok()
    }
}

/// What a trust file says of an identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// The value of `iss`, and of `issuer` in the provider's discovery document. An https URL.
    pub issuer: String,
    /// What `aud` must contain.
    pub audience: String,
    /// What the provider may sign with.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the person.
    #[serde(default = "default_subject_claim")]
    pub subject_claim: String,
    /// What stands before the claim's value in `user:…`.
    pub subject_prefix: String,
    /// The claim that names the groups of the person: a list of texts, or one text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// What stands before each group in `group:…`; unless given, what stands before the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_prefix: Option<String>,
    /// Where the keys are. Unless given, the discovery document says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
}

/// RS256, which every provider must be able to.
#[must_use]
pub fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::Rs256]
}

fn default_subject_claim() -> String {
    "sub".to_owned()
}

/// What is wrong with the settings of an identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OidcError {
    /// No URL, or one whose answers others could make.
    #[error("`{0}` must be an https URL (http is for loopback) without user, query and fragment")]
    Url(&'static str),
    /// A setting that would match anything, or nothing.
    #[error("`{0}` must not be empty")]
    Empty(&'static str),
    /// A prefix that does not keep the provider's names apart from others.
    #[error(
        "`{0}` must have 1 to {MAX_PREFIX} bytes, no white space, and end in neither a letter nor \
         a digit, such as `okta:`: no name of the provider may continue one of others"
    )]
    Prefix(&'static str),
}

/// An identity provider that is trusted for `user:` and `group:` under its prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcIssuer {
    name: Arc<str>,
    settings: OidcSettings,
    group_prefix: String,
    discovery: Url,
    jwks_uri: Option<Url>,
}

impl OidcIssuer {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used.
    pub fn new(settings: OidcSettings) -> Result<Self, OidcError> {
        let OidcSettings {
            issuer,
            audience,
            algorithms,
            subject_claim,
            subject_prefix,
            groups_claim,
            group_prefix,
            jwks_uri,
        } = &settings;
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        secure_url("issuer", issuer)?;
        let discovery = secure_url("issuer", &format!("{base}{DISCOVERY}"))?;
        let empty = [
            ("audience", audience.is_empty()),
            ("algorithms", algorithms.is_empty()),
            ("subject_claim", subject_claim.is_empty()),
            ("groups_claim", groups_claim.as_deref() == Some("")),
        ];
        if let Some((name, _)) = empty.into_iter().find(|(_, empty)| *empty) {
            return Err(OidcError::Empty(name));
        }
        check_prefix("subject_prefix", subject_prefix)?;
        let group_prefix = group_prefix.as_ref().unwrap_or(subject_prefix);
        check_prefix("group_prefix", group_prefix)?;
        let jwks_uri = jwks_uri
            .as_ref()
            .map(|uri| secure_url("jwks_uri", uri))
            .transpose()?;
        Ok(Self {
            name: issuer.as_str().into(),
            group_prefix: group_prefix.clone(),
            discovery,
            jwks_uri,
            settings,
        })
    }

    /// The value of `iss`. Cheap to clone.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What the trust file says.
    #[must_use]
    pub fn settings(&self) -> &OidcSettings {
        &self.settings
    }

    /// What stands before each group.
    #[must_use]
    pub fn group_prefix(&self) -> &str {
        &self.group_prefix
    }

    /// Where the provider says where its keys are.
    #[must_use]
    pub fn discovery(&self) -> &Url {
        &self.discovery
    }

    /// Where the keys are, if the trust file says it.
    #[must_use]
    pub fn jwks_uri(&self) -> Option<&Url> {
        self.jwks_uri.as_ref()
    }

    /// The prefix, of people or of groups, with which both could make the same name.
    pub(super) fn overlap(&self, other: &Self) -> Option<&str> {
        let pairs = [
            (
                &self.settings.subject_prefix,
                &other.settings.subject_prefix,
            ),
            (&self.group_prefix, &other.group_prefix),
        ];
        let overlaps = |(ours, theirs): &(&String, &String)| {
            ours.starts_with(theirs.as_str()) || theirs.starts_with(ours.as_str())
        };
        let (ours, _) = pairs.into_iter().find(overlaps)?;
        Some(ours)
    }
}

/// A URL whose answers nobody on the way can make.
pub(in crate::identity) fn secure_url(name: &'static str, text: &str) -> Result<Url, OidcError> {
    let url = Url::parse(text).map_err(|_| OidcError::Url(name))?;
    let secure = match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => true,
        ("http", Some(host)) => is_loopback(host),
        _ => false,
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if secure && plain && (name == "jwks_uri" || url.query().is_none()) {
        Ok(url)
    } else {
        Err(OidcError::Url(name))
    }
}

fn check_prefix(name: &'static str, prefix: &str) -> Result<(), OidcError> {
    let open = prefix.ends_with(|last: char| !last.is_alphanumeric());
    if open && prefix.len() <= MAX_PREFIX && prefix.parse::<PrincipalId>().is_ok() {
        Ok(())
    } else {
        Err(OidcError::Prefix(name))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
