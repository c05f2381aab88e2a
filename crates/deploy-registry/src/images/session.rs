//! One look-up in one registry.

use std::collections::BTreeSet;

use model::{ImageDigest, ImageRepository};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::Error;
use super::challenge::Challenge;
use super::docker_config::{Credentials, DockerConfig};
use super::host::Host;
use super::manifest::{self, Manifest, Next};
use crate::domain::ImageVersions;

/// The largest manifest: as large as registries are asked to take (OCI distribution specification,
/// "Pushing Manifests").
const MOST_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// The largest configuration of an image; they have some tens of KiB.
const MOST_CONFIG_BYTES: usize = 4 * 1024 * 1024;
const MOST_TOKEN_BYTES: usize = 64 * 1024;
/// Registries send whoever wants a blob to the store behind them, perhaps by way of another.
const MOST_REDIRECTS: usize = 3;

pub(super) struct Session<'a> {
    http: &'a Client,
    docker_config: Option<&'a DockerConfig>,
    insecure: &'a BTreeSet<String>,
    host: &'a Host,
    path: String,
    /// What the registry wants to see, once it has said so.
    authorization: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        http: &'a Client,
        docker_config: Option<&'a DockerConfig>,
        insecure: &'a BTreeSet<String>,
        host: &'a Host,
        repository: &ImageRepository,
    ) -> Self {
        Self {
            http,
            docker_config,
            insecure,
            host,
            path: host.path(repository),
            authorization: None,
        }
    }

    /// Whether the registry has this manifest.
    pub(super) async fn has(&mut self, digest: ImageDigest) -> Result<bool, Error> {
        let url = self.url("manifests", &digest.to_string())?;
        let response = self.ask(Method::HEAD, url).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => Err(self.unexpected(status)),
        }
    }

    /// The manifest with this digest; none if there is none.
    pub(super) async fn manifest_of(
        &mut self,
        digest: ImageDigest,
    ) -> Result<Option<Manifest>, Error> {
        let manifest = self.manifest(&digest.to_string()).await?;
        match manifest {
            Some(manifest) if manifest.digest != digest => {
                Err(self.unusable("a manifest has another digest than it was asked for by"))
            }
            manifest => Ok(manifest),
        }
    }

    /// The manifest that a tag or a digest names; none if there is none.
    pub(super) async fn manifest(&mut self, reference: &str) -> Result<Option<Manifest>, Error> {
        let url = self.url("manifests", reference)?;
        let response = self.ask(Method::GET, url).await?;
        match response.status() {
            StatusCode::OK => {
                let body = self.body(response, MOST_MANIFEST_BYTES).await?;
                Ok(Some(Manifest::new(body)))
            }
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(self.unexpected(status)),
        }
    }

    /// The versions that the labels of an image tell.
    pub(super) async fn versions(&mut self, manifest: &Manifest) -> Result<ImageVersions, Error> {
        let next = match manifest.next() {
            Next::Manifest(digest) => match self.manifest_of(digest).await? {
                Some(manifest) => manifest.next(),
                None => Next::Nothing,
            },
            next @ (Next::Config(_) | Next::Nothing) => next,
        };
        match next {
            Next::Config(digest) => Ok(manifest::versions(&self.blob(digest).await?)),
            Next::Manifest(_) | Next::Nothing => Ok(ImageVersions::default()),
        }
    }

    /// A configuration, which may lie elsewhere. It is known by its digest, so it can come from
    /// anywhere, but nobody else is shown what the registry wants to see.
    async fn blob(&mut self, digest: ImageDigest) -> Result<Vec<u8>, Error> {
        let mut url = self.url("blobs", &digest.to_string())?;
        let mut response = self.ask(Method::GET, url.clone()).await?;
        for _ in 0..MOST_REDIRECTS {
            if !response.status().is_redirection() {
                break;
            }
            let location = response.headers().get(LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            let target = location.and_then(|location| url.join(location).ok());
            url = target.ok_or_else(|| self.unusable("a redirection leads nowhere"))?;
            self.check_scheme(&url)?;
            let request = self.http.get(url.clone());
            response = request.send().await.map_err(|e| self.unreachable(e))?;
        }
        if response.status() != StatusCode::OK {
            return Err(self.unexpected(response.status()));
        }
        let body = self.body(response, MOST_CONFIG_BYTES).await?;
        if manifest::digest(&body) != digest {
            return Err(self.unusable("a configuration has another digest than its manifest says"));
        }
        Ok(body)
    }

    /// Sends a request, and once more with what the registry wants to see, if it says that.
    async fn ask(&mut self, method: Method, url: Url) -> Result<Response, Error> {
        let response = self.send(method.clone(), url.clone()).await?;
        if response.status() != StatusCode::UNAUTHORIZED || self.authorization.is_some() {
            return Ok(response);
        }
        self.authorization = Some(self.authorize(&response).await?);
        self.send(method, url).await
    }

    async fn send(&self, method: Method, url: Url) -> Result<Response, Error> {
        let mut request = self.http.request(method, url);
        request = request.header(ACCEPT, manifest::ACCEPT);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request
            .send()
            .await
            .map_err(|error| self.unreachable(error))
    }

    /// What the registry wants to see.
    async fn authorize(&self, refusal: &Response) -> Result<HeaderValue, Error> {
        let headers = refusal.headers().get_all(WWW_AUTHENTICATE).iter();
        let mut challenges = headers
            .filter_map(|header| Challenge::parse(header.to_str().ok()?))
            .collect::<Vec<_>>();
        // A token, where it can be had: it is good for this one repository only.
        challenges.sort_by_key(|challenge| *challenge == Challenge::Basic);
        let credentials = self.credentials().await?;
        match (challenges.into_iter().next(), credentials) {
            (Some(Challenge::Basic), Some(credentials)) => Ok(credentials.header()),
            (
                Some(Challenge::Bearer {
                    realm,
                    service,
                    scope,
                }),
                credentials,
            ) => {
                self.token(&realm, service, scope, credentials.as_ref())
                    .await
            }
            (Some(Challenge::Basic) | None, _) => Err(self.denied()),
        }
    }

    async fn credentials(&self) -> Result<Option<Credentials>, Error> {
        let Some(config) = self.docker_config else {
            return Ok(None);
        };
        let credentials = config.credentials(self.host).await;
        credentials.map_err(|source| Error::Credentials {
            host: self.host.to_string(),
            source,
        })
    }

    /// A token for the repository, from where the registry says.
    async fn token(
        &self,
        realm: &str,
        service: Option<String>,
        scope: Option<String>,
        credentials: Option<&Credentials>,
    ) -> Result<HeaderValue, Error> {
        let no_url = || self.unusable("where to get a token is no URL");
        let mut url = Url::parse(realm).map_err(|_| no_url())?;
        self.check_scheme(&url)?;
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.path));
        url.query_pairs_mut()
            .append_pair("scope", &scope)
            .extend_pairs(service.map(|service| ("service", service)));
        let mut request = self.http.get(url);
        if let Some(credentials) = credentials {
            request = request.header(AUTHORIZATION, credentials.header());
        }
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        if response.status() != StatusCode::OK {
            return Err(self.unexpected(response.status()));
        }
        let body = self.body(response, MOST_TOKEN_BYTES).await?;
        let no_token = |what| self.unusable(what);
        let Token {
            token,
            access_token,
        } = serde_json::from_slice(&body).map_err(|_| no_token("a token is no JSON"))?;
        let token = if token.is_empty() {
            access_token
        } else {
            token
        };
        let header = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut header = header.map_err(|_| no_token("a token has characters that none has"))?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// Reads a body, unless it is too large.
    async fn body(&self, mut response: Response, most: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(e))? {
            if body.len() + chunk.len() > most {
                return Err(self.unusable("an answer is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn url(&self, kind: &str, reference: &str) -> Result<Url, Error> {
        let (host, path) = (self.host, &self.path);
        let scheme = if self.insecure.contains(host.as_str()) {
            "http"
        } else {
            "https"
        };
        let url = format!("{scheme}://{host}/v2/{path}/{kind}/{reference}");
        Url::parse(&url).map_err(|_| self.unusable("its name is no host"))
    }

    /// Plain text only to hosts that the operator named.
    fn check_scheme(&self, url: &Url) -> Result<(), Error> {
        let named = || {
            let host = url.host_str().unwrap_or_default();
            let host = match url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            };
            self.insecure.contains(&host)
        };
        match url.scheme() {
            "https" => Ok(()),
            "http" if named() => Ok(()),
            _ => Err(self.unusable("it leads to a place that is not asked over https")),
        }
    }

    fn unexpected(&self, status: StatusCode) -> Error {
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return self.denied();
        }
        Error::Status {
            host: self.host.to_string(),
            status: status.as_u16(),
        }
    }

    fn denied(&self) -> Error {
        Error::Denied {
            host: self.host.to_string(),
        }
    }

    /// The error without the URL, which can have a token in its query.
    fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unreachable {
            host: self.host.to_string(),
            source: error.without_url(),
        }
    }

    fn unusable(&self, what: &'static str) -> Error {
        Error::Unusable {
            host: self.host.to_string(),
            what,
        }
    }
}
