//! A real registry, Docker's, and real images in it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use model::ImageDigest;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, Response, Url};
use tempfile::TempDir;

use crate::images::manifest::digest;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// `ci` with the password `hunter2`, as `htpasswd -B` writes it.
const PASSWORDS: &str = "ci:$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";
pub(crate) const AUTH: &str = "Y2k6aHVudGVyMg==";

/// A registry of its own, in a folder of its own. Stops when it is dropped.
pub(crate) struct RealRegistry {
    pub(crate) host: String,
    http: Client,
    authorization: Option<String>,
    folder: TempDir,
    child: Child,
}

impl RealRegistry {
    pub(crate) fn start() -> Self {
        Self::start_with("", None)
    }

    /// One that wants a password.
    pub(crate) fn locked() -> Self {
        Self::start_with(
            "auth: {htpasswd: {realm: tests, path: passwords}}",
            Some(format!("Basic {AUTH}")),
        )
    }

    fn start_with(more: &str, authorization: Option<String>) -> Self {
        // The first to be installed counts, also for the client that fills the registry.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("passwords"), PASSWORDS).unwrap();
        let config = format!(
            "version: 0.1\n\
             log: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: images}}, delete: {{enabled: true}}}}\n\
             http: {{addr: \"127.0.0.1:0\"}}\n{more}\n"
        );
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let mut child = Command::new("docker-registry")
            .args(["serve", "config.yml"])
            .current_dir(folder.path())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker-registry, which tests/run installs");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let host = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, rest) = line.split_once("listening on ")?;
                Some(rest.split(['"', ' ']).next().unwrap().to_owned())
            })
            .expect("the registry says where it listens");
        // Reads on, so that the registry never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            host,
            http: Client::new(),
            authorization,
            folder,
            child,
        }
    }

    /// A Docker configuration with the password, in a file.
    pub(crate) fn docker_config(&self) -> PathBuf {
        let path = self.folder.path().join("config.json");
        let host = &self.host;
        let config = format!(r#"{{"auths": {{"{host}": {{"auth": "{AUTH}"}}}}}}"#);
        std::fs::write(&path, config).unwrap();
        path
    }

    /// Pushes an image with these labels (JSON), of one layer, under a tag.
    pub(crate) async fn push(&self, tag: &str, labels: &str) -> ImageDigest {
        let config = self
            .push_blob(&format!(
                r#"{{"architecture": "amd64", "os": "linux", "config": {{"Labels": {labels}}},
                    "rootfs": {{"type": "layers", "diff_ids": []}}}}"#
            ))
            .await;
        let layer = self.push_blob("a layer").await;
        let manifest = format!(
            r#"{{"schemaVersion": 2, "mediaType": "{MANIFEST}",
                "config": {{"mediaType": "application/vnd.oci.image.config.v1+json", {config}}},
                "layers": [{{"mediaType": "application/vnd.oci.image.layer.v1.tar", {layer}}}]}}"#
        );
        self.push_manifest(tag, MANIFEST, manifest).await
    }

    /// Pushes an index of these images, the first of them for the platform `unknown`.
    pub(crate) async fn push_index(
        &self,
        tag: &str,
        images: &[(&str, ImageDigest)],
    ) -> ImageDigest {
        let mut entries = Vec::new();
        for (architecture, image) in images {
            let body = self.get_manifest(*image).await;
            let os = if *architecture == "unknown" {
                "unknown"
            } else {
                "linux"
            };
            entries.push(format!(
                r#"{{"mediaType": "{MANIFEST}", "digest": "{image}", "size": {},
                    "platform": {{"architecture": "{architecture}", "os": "{os}"}}}}"#,
                body.len()
            ));
        }
        let index = format!(
            r#"{{"schemaVersion": 2, "mediaType": "{INDEX}", "manifests": [{}]}}"#,
            entries.join(",")
        );
        self.push_manifest(tag, INDEX, index).await
    }

    pub(crate) async fn delete(&self, image: ImageDigest) {
        let path = format!("manifests/{image}");
        let response = self.ask(Method::DELETE, &path, None, Vec::new()).await;
        assert_eq!(response.status(), 202);
    }

    async fn push_blob(&self, content: &str) -> String {
        let digest = digest(content.as_bytes());
        let begun = self
            .ask(Method::POST, "blobs/uploads/", None, Vec::new())
            .await;
        let location = begun.headers()[LOCATION].to_str().unwrap();
        let mut url = Url::parse(location).unwrap();
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let octets = Some("application/octet-stream");
        let pushed = self.send(Method::PUT, url, octets, content.into()).await;
        assert_eq!(pushed.status(), 201);
        format!(r#""digest": "{digest}", "size": {}"#, content.len())
    }

    async fn push_manifest(&self, tag: &str, kind: &str, manifest: String) -> ImageDigest {
        let digest = digest(manifest.as_bytes());
        let path = format!("manifests/{tag}");
        let pushed = self
            .ask(Method::PUT, &path, Some(kind), manifest.into())
            .await;
        assert_eq!(pushed.status(), 201, "{:?}", pushed.text().await);
        digest
    }

    async fn get_manifest(&self, image: ImageDigest) -> Vec<u8> {
        let path = format!("manifests/{image}");
        let url = self.url(&path);
        let request = self.http.get(url).header("accept", MANIFEST);
        request
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .to_vec()
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}/v2/data/etl/{path}", self.host)).unwrap()
    }

    async fn ask(&self, method: Method, path: &str, kind: Option<&str>, body: Vec<u8>) -> Response {
        self.send(method, self.url(path), kind, body).await
    }

    async fn send(&self, method: Method, url: Url, kind: Option<&str>, body: Vec<u8>) -> Response {
        let mut request = self.http.request(method, url).body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        request.send().await.unwrap()
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        // One that is gone already needs no stopping.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
