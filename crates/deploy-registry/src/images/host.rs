//! Which server an image lives on.

use std::fmt;

use model::ImageRepository;

/// The names of Docker Hub, which an image without a host is of as well. The last is what serves it.
const DOCKER_HUB: [&str; 4] = [
    "docker.io",
    "index.docker.io",
    "registry.hub.docker.com",
    "registry-1.docker.io",
];
const DOCKER_HUB_SERVER: &str = "registry-1.docker.io";

/// The host of an image registry, with its port if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host(String);

impl Host {
    /// The host of a repository.
    pub(super) fn of(repository: &ImageRepository) -> Self {
        match repository.registry() {
            Some(host) if !is_docker_hub(host) => Self(host.to_ascii_lowercase()),
            Some(_) | None => Self(DOCKER_HUB_SERVER.to_owned()),
        }
    }

    /// Whether a key of a Docker configuration names this host: a host, or a URL.
    pub(super) fn is_named(&self, key: &str) -> bool {
        let key = key.split_once("://").map_or(key, |(_, rest)| rest);
        let host = key.split('/').next().unwrap_or_default();
        host.eq_ignore_ascii_case(&self.0) || (self.is_hub() && is_docker_hub(host))
    }

    /// The path of a repository on this host. Docker Hub keeps images without an owner under
    /// `library`.
    pub(super) fn path(&self, repository: &ImageRepository) -> String {
        let path = repository.path();
        if self.is_hub() && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn is_hub(&self) -> bool {
        self.0 == DOCKER_HUB_SERVER
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_docker_hub(host: &str) -> bool {
    DOCKER_HUB
        .iter()
        .any(|name| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_and_path_of_an_image_are_known() {
        for (repository, server, path) in [
            ("airflow", DOCKER_HUB_SERVER, "library/airflow"),
            ("apache/airflow", DOCKER_HUB_SERVER, "apache/airflow"),
            ("docker.io/airflow", DOCKER_HUB_SERVER, "library/airflow"),
            (
                "quay.io/astronomer/astro-runtime",
                "quay.io",
                "astronomer/astro-runtime",
            ),
            (
                "Registry.example.com:5000/etl",
                "registry.example.com:5000",
                "etl",
            ),
            ("localhost/etl", "localhost", "etl"),
        ] {
            let repository = repository.parse().unwrap();
            let host = Host::of(&repository);
            assert_eq!(host.as_str(), server, "{repository}");
            assert_eq!(host.path(&repository), path, "{repository}");
        }
    }
}
