use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chassis::environment::Environment;
use chassis::identity::{Keyring, ServiceTokens};
use model::names::ServiceName;
use tempfile::TempDir;

use super::Setup;
use super::person::{Addresses, Person};
use super::process::{Process, reprise};
use super::setup::Database;
use crate::proxy::Proxy;

/// The three services of a case, and the keys that they were given.
pub(crate) struct Stack {
    pub(crate) authorization: Process,
    pub(crate) registry: Process,
    pub(crate) orchestrator: Process,
    /// Between orchestrator and registry, if the case has asked for it.
    proxy: Option<Proxy>,
    pub(crate) keyring: Keyring,
    pub(crate) environment: Environment,
    /// Dropped last: the services have files in it.
    folder: TempDir,
}

impl Stack {
    pub(super) async fn start(setup: Setup) -> Self {
        let Setup {
            database,
            proxied,
            authorization_flags,
            registry_flags,
            orchestrator_flags,
        } = setup;
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let init = reprise().arg("init").arg("--keys").arg(&keys).output();
        let init = init.unwrap();
        assert!(
            init.status.success(),
            "{}",
            String::from_utf8_lossy(&init.stderr)
        );

        let common = |service| common_arguments(&database, folder.path(), &keys, service);
        let mut arguments = common("authorization");
        arguments.extend(authorization_flags);
        let authorization = Process::start("authorization", arguments).await;
        let mut arguments = common("registry");
        arguments.extend(at("--authorization-address", authorization.address));
        arguments.extend(["--bundle-store".into(), bundle_folder(folder.path()).into()]);
        arguments.extend(registry_flags.into_iter().map(OsString::from));
        let registry = Process::start("registry", arguments).await;

        let proxy = match proxied {
            true => Some(Proxy::start(registry.address).await),
            false => None,
        };
        let registry_address = proxy.as_ref().map_or(registry.address, |p| p.address);
        let mut arguments = common("orchestrator");
        arguments.extend(at("--authorization-address", authorization.address));
        arguments.extend(at("--registry-address", registry_address));
        arguments.extend(orchestrator_flags.into_iter().map(OsString::from));
        let orchestrator = Process::start("orchestrator", arguments).await;

        let environment = Environment::system();
        Self {
            authorization,
            registry,
            orchestrator,
            proxy,
            keyring: Keyring::open(&keys).unwrap(),
            environment,
            folder,
        }
    }

    /// The proxy of a case that has asked for one.
    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().unwrap()
    }

    /// Takes all records from a registry on SQLite that does not run.
    pub(crate) fn lose_records_of_registry(&self) {
        for end in ["", "-wal", "-shm"] {
            let file = self.folder.path().join(format!("registry.db{end}"));
            // After a clean end there is only the first one.
            if file.exists() {
                std::fs::remove_file(file).unwrap();
            }
        }
    }

    /// Where the registry keeps bundles.
    pub(crate) fn bundle_folder(&self) -> PathBuf {
        bundle_folder(self.folder.path())
    }

    pub(crate) fn addresses(&self) -> Addresses {
        Addresses {
            authorization: self.authorization.address,
            registry: self.registry.address,
            orchestrator: self.orchestrator.address,
        }
    }

    /// Somebody with a valid token of the local issuer.
    pub(crate) fn person(&self, name: &str) -> Person {
        Person::new(
            self.addresses(),
            &format!("user:{name}"),
            &self.token_of(name, &[]),
        )
    }

    /// Somebody who calls with this token, whatever it is.
    pub(crate) fn somebody(&self, token: &str) -> Person {
        Person::new(self.addresses(), "somebody", token)
    }

    /// Somebody who calls with a token that a service has signed for calls to another.
    pub(crate) fn service(&self, service: ServiceName, audience: ServiceName) -> Person {
        let token = self.service_tokens(service).token(audience).unwrap();
        Person::new(self.addresses(), &format!("service:{service}"), &token)
    }

    /// The orchestrator's own identity, as the registry sees it.
    pub(crate) fn orchestrator_itself(&self) -> Person {
        self.service(
            ServiceName::RollbackOrchestrator,
            ServiceName::DeployRegistry,
        )
    }

    fn service_tokens(&self, service: ServiceName) -> ServiceTokens {
        self.keyring
            .service_tokens(service, self.environment.clone())
            .unwrap()
    }
}

fn common_arguments(
    database: &Database,
    folder: &Path,
    keys: &Path,
    service: &str,
) -> Vec<OsString> {
    vec![
        "--keys".into(),
        keys.into(),
        "--database-url".into(),
        database.url(folder, service).into(),
        // Many stacks share one server.
        "--database-connections".into(),
        "4".into(),
    ]
}

fn at(flag: &str, address: SocketAddr) -> [OsString; 2] {
    [flag.into(), format!("http://{address}").into()]
}

fn bundle_folder(folder: &Path) -> PathBuf {
    folder.join("bundles")
}
