//! Fetching the keys of an identity provider.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::CACHE_CONTROL;
use reqwest::{Certificate, Client, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use thiserror::Error;

use super::keys::ProviderKeys;
use crate::identity::trust::{OidcError, OidcIssuer, secure_url};

/// The longest that the discovery document and the keys may take together.
pub(super) const FETCH_WITHIN: Duration = Duration::from_secs(5);

const MAX_BODY: usize = 1024 * 1024;

/// Why the authorities to trust cannot be used.
#[derive(Debug, Error)]
pub enum OidcClientError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file has no certificate.
    #[error("{} holds no certificate in PEM form", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
}

/// Why a provider's keys could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// TLS cannot be set up.
    #[error("cannot set up TLS with the authorities of this machine: install its CA certificates")]
    Client(#[source] reqwest::Error),
    /// The provider is slow.
    #[error("no answer within {} seconds", FETCH_WITHIN.as_secs())]
    TimedOut,
    /// The provider cannot be reached, or the answer broke off.
    #[error("cannot fetch {url}")]
    Request {
        /// What was fetched.
        url: Url,
        /// Why not.
        source: reqwest::Error,
    },
    /// Not what is looked for. Redirects are not followed.
    #[error("{url} answers {status}")]
    Status {
        /// What was fetched.
        url: Url,
        /// The answer.
        status: StatusCode,
    },
    /// More than is read.
    #[error("{url} answers more than {MAX_BODY} bytes")]
    TooLarge {
        /// What was fetched.
        url: Url,
    },
    /// Not the JSON that it should be.
    #[error("{url} answers no {expected}")]
    Json {
        /// What was fetched.
        url: Url,
        /// What it should have been.
        expected: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The document of another issuer. The two must be equal to the letter.
    #[error("{url} is the document of issuer `{found}`")]
    Issuer {
        /// What was fetched.
        url: Url,
        /// What it says.
        found: String,
    },
    /// An address in the document that is not used.
    #[error("{url} cannot be used")]
    Address {
        /// What was fetched.
        url: Url,
        /// What is wrong with it.
        source: OidcError,
    },
}

/// Fetches providers' keys. Trusts the authorities of the machine, and those it is given.
#[derive(Clone, Debug, Default)]
pub struct OidcClient {
    authorities: Vec<Certificate>,
}

/// What a provider answered.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) keys: ProviderKeys,
    /// For how long the provider says that they can be kept.
    pub(super) max_age: Option<Duration>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl OidcClient {
    /// Trusts the authorities in a PEM file, too.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or holds no certificate.
    pub fn with_authorities(path: &Path) -> Result<Self, OidcClientError> {
        let pem = std::fs::read(path).map_err(|source| OidcClientError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let authorities = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if authorities.is_empty() {
            return Err(OidcClientError::NoCertificate {
                path: path.to_owned(),
            });
        }
        Ok(Self { authorities })
    }

    /// Fetches a provider's keys once, and tells the ids of those that can be used.
    ///
    /// # Errors
    ///
    /// If the provider does not answer as it should.
    pub async fn try_out(&self, issuer: &OidcIssuer) -> Result<Vec<String>, FetchError> {
        let Fetched { keys, max_age: _ } = self.fetch(issuer).await?;
        Ok(keys.ids().map(str::to_owned).collect())
    }

    pub(super) async fn fetch(&self, issuer: &OidcIssuer) -> Result<Fetched, FetchError> {
        tokio::time::timeout(FETCH_WITHIN, self.discover_and_fetch(issuer))
            .await
            .unwrap_or(Err(FetchError::TimedOut))
    }

    async fn discover_and_fetch(&self, issuer: &OidcIssuer) -> Result<Fetched, FetchError> {
        let client = self.client()?;
        let url = match issuer.jwks_uri() {
            Some(url) => url.clone(),
            None => discover(&client, issuer).await?,
        };
        let response = get(&client, &url).await?;
        let max_age = max_age(&response);
        let json = body(response, &url).await?;
        let keys = ProviderKeys::parse(&json, &issuer.settings().algorithms);
        let keys = keys.map_err(not_json(&url, "JWK set"))?;
        Ok(Fetched { keys, max_age })
    }

    /// A new one each time: it is needed for a second every few minutes, and takes up megabytes.
    fn client(&self) -> Result<Client, FetchError> {
        // Fails if there is one already, which then is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .redirect(redirect::Policy::none())
            .tls_certs_merge(self.authorities.clone())
            .build()
            .map_err(FetchError::Client)
    }
}

/// Asks the provider where its keys are.
async fn discover(client: &Client, issuer: &OidcIssuer) -> Result<Url, FetchError> {
    let url = issuer.discovery();
    let json = body(get(client, url).await?, url).await?;
    let document = serde_json::from_slice(&json).map_err(not_json(url, "discovery document"))?;
    let Discovery {
        issuer: found,
        jwks_uri,
    } = document;
    let url = url.clone();
    if *found != **issuer.name() {
        return Err(FetchError::Issuer { url, found });
    }
    secure_url("jwks_uri", &jwks_uri).map_err(|source| FetchError::Address { url, source })
}

async fn get(client: &Client, url: &Url) -> Result<Response, FetchError> {
    let response = client.get(url.clone()).send().await;
    let response = response.map_err(broken(url))?;
    match response.status() {
        StatusCode::OK => Ok(response),
        status => Err(FetchError::Status {
            url: url.clone(),
            status,
        }),
    }
}

async fn body(mut response: Response, url: &Url) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken(url))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(FetchError::TooLarge { url: url.clone() });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The `max-age` of `Cache-Control`.
fn max_age(response: &Response) -> Option<Duration> {
    let control = response.headers().get(CACHE_CONTROL)?.to_str().ok()?;
    let seconds = control
        .split(',')
        .find_map(|directive| directive.trim().strip_prefix("max-age="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

fn broken(url: &Url) -> impl FnOnce(reqwest::Error) -> FetchError {
    |source| FetchError::Request {
        url: url.clone(),
        // It is in our own text already.
        source: source.without_url(),
    }
}

fn not_json(url: &Url, expected: &'static str) -> impl FnOnce(serde_json::Error) -> FetchError {
    move |source| FetchError::Json {
        url: url.clone(),
        expected,
        source,
    }
}
