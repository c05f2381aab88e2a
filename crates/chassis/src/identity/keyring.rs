//! The folder that holds a service's keys, and the issuers that it trusts.
//!
//! ```text
//! keys/authorization.pem            the key of each service
//! keys/deploy-registry.pem
//! keys/rollback-orchestrator.pem
//! keys/local-issuer.pem             signs tokens of people where there is no identity provider
//! keys/signing/<time>-<kid>.pem     sign permits and service accounts' tokens
//! trust.json                        who may speak for whom
//! ```
//!
//! A service reads its own key and the trust file only, so that it can run with nothing else.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use model::ServiceName;
use thiserror::Error;

use super::files::{self, FileError};
use super::keys::{KeyError, KeySet, PublicKey, SigningKey};
use super::service_tokens::ServiceTokens;
use super::signing_folder::{self, SigningFolder, SigningFolderError};
use super::trust::{
    AUTHORIZATION_ISSUER, IssuerKind, LOCAL_ISSUER, OidcSettings, TrustError, TrustFile,
    TrustedIssuer, service_issuer,
};
use crate::environment::Environment;

/// Why a keyring cannot be used, and what to do.
#[derive(Debug, Error)]
pub enum KeyringError {
    /// There is none.
    #[error("{} does not exist: run `reprise init` to make it, or name the folder that has it", path.display())]
    Missing {
        /// The file or folder that was looked for.
        path: PathBuf,
    },
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The folder of signing keys cannot be used.
    #[error(transparent)]
    SigningFolder(#[from] SigningFolderError),
    /// The trust file cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// A folder of keys and trust. Nothing is read before it is asked for.
#[derive(Clone, Debug)]
pub struct Keyring {
    folder: PathBuf,
}

impl Keyring {
    /// A keyring that exists.
    ///
    /// # Errors
    ///
    /// If the folder does not.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, KeyringError> {
        let folder = folder.into();
        if folder.is_dir() {
            Ok(Self { folder })
        } else {
            Err(KeyringError::Missing { path: folder })
        }
    }

    /// Makes a keyring, or completes one. What is there stays as it is.
    ///
    /// A trust file that is there decides: an issuer that it does not list gets no key, so that
    /// nothing comes to be trusted again that an operator has taken out.
    ///
    /// # Errors
    ///
    /// If a file cannot be written, or one that is there cannot be used.
    pub fn init(folder: impl Into<PathBuf>, env: &Environment) -> Result<Self, KeyringError> {
        let keyring = Self {
            folder: folder.into(),
        };
        files::create_folder(&keyring.signing_folder_path())?;
        let _lock = files::lock(&keyring.folder)?;
        keyring.complete(env)?;
        Ok(keyring)
    }

    /// Adds a key that signs permits and service accounts' tokens from `start_time` on. All services
    /// must have read the trust file again by then.
    ///
    /// # Errors
    ///
    /// If a file cannot be written, or one that is there cannot be used.
    pub fn add_signing_key(&self, start_time: DateTime<Utc>) -> Result<PublicKey, KeyringError> {
        let _lock = files::lock(&self.folder)?;
        let key = SigningKey::generate();
        let trust = self.trust()?.with_signing_key(key.public().clone())?;
        files::write(&self.trust_path(), &trust.to_json()?)?;
        write_key(&self.signing_key_path(&key, start_time), &key)?;
        Ok(key.public().clone())
    }

    /// Trusts an identity provider, too.
    ///
    /// # Errors
    ///
    /// If its settings cannot be used beside what is trusted already, or a file cannot be written.
    pub fn trust_issuer(&self, settings: OidcSettings) -> Result<(), KeyringError> {
        let _lock = files::lock(&self.folder)?;
        let trust = self.trust()?.with_oidc(settings)?;
        Ok(files::write(&self.trust_path(), &trust.to_json()?)?)
    }

    /// The key of a service.
    ///
    /// # Errors
    ///
    /// If it is missing or cannot be used.
    pub fn service_key(&self, service: ServiceName) -> Result<SigningKey, KeyringError> {
        load(&self.service_key_path(service))
    }

    /// The tokens by which a service calls others, signed with its key.
    ///
    /// # Errors
    ///
    /// As for [`Keyring::service_key`].
    pub fn service_tokens(
        &self,
        service: ServiceName,
        env: Environment,
    ) -> Result<ServiceTokens, KeyringError> {
        Ok(ServiceTokens::new(service, self.service_key(service)?, env))
    }

    /// The key that signs tokens of people where there is no identity provider.
    ///
    /// # Errors
    ///
    /// If it is missing or cannot be used.
    pub fn local_issuer(&self) -> Result<SigningKey, KeyringError> {
        load(&self.local_issuer_path())
    }

    /// Who may speak for whom.
    ///
    /// # Errors
    ///
    /// If the file is missing or cannot be used.
    pub fn trust(&self) -> Result<TrustFile, KeyringError> {
        let path = self.trust_path();
        match TrustFile::load(&path) {
            Err(TrustError::File(error)) if error.is_not_found() => {
                Err(KeyringError::Missing { path })
            }
            other => Ok(other?),
        }
    }

    /// The keys of permits and service accounts.
    ///
    /// # Errors
    ///
    /// If there is none that may sign, or one cannot be used.
    pub fn signing_folder(&self, env: Environment) -> Result<SigningFolder, KeyringError> {
        let path = self.signing_folder_path();
        match SigningFolder::load(&path, env) {
            Err(SigningFolderError::File(error)) if error.is_not_found() => {
                Err(KeyringError::Missing { path })
            }
            other => Ok(other?),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn complete(&self, env: &Environment) -> Result<(), KeyringError> {
        let mut new_keys = NewKeys::default();
        let known = match self.trust() {
            Ok(trust) => Some(trust),
            Err(KeyringError::Missing { path: _ }) => None,
            Err(error) => return Err(error),
        };
        let trust = match known.clone() {
            Some(trust) => self.replace_missing_keys(trust, &mut new_keys, env)?,
            None => self.trust_all_keys(&mut new_keys, env)?,
        };
        if known.as_ref() != Some(&trust) {
            files::write(&self.trust_path(), &trust.to_json()?)?;
        }
        // Keys come after the trust in them: what a crash in between leaves is a public key that
        // nobody has the private half of, and not a private key that nobody trusts.
        for (path, key) in new_keys.0 {
            write_key(&path, &key)?;
        }
        Ok(())
    }

    /// The trust file of a new keyring, or of one that has lost it.
    fn trust_all_keys(
        &self,
        new_keys: &mut NewKeys,
        env: &Environment,
    ) -> Result<TrustFile, KeyringError> {
        let mut issuers = Vec::new();
        for (issuer, kind, path) in self.single_keys() {
            let key = if files::exists(&path)? {
                SigningKey::load(&path)?.public().clone()
            } else {
                new_keys.generate(|_| path)
            };
            issuers.push(TrustedIssuer::new(issuer, kind, KeySet::new([key])?));
        }
        let mut signing = Vec::new();
        for path in files::pem_files(&self.signing_folder_path())? {
            signing.push(SigningKey::load(&path)?.public().clone());
        }
        if signing.is_empty() {
            signing.push(new_keys.generate(|key| self.signing_key_path(key, env.now())));
        }
        let signing = KeySet::new(signing)?;
        issuers.push(TrustedIssuer::new(
            AUTHORIZATION_ISSUER,
            IssuerKind::ServiceAccounts,
            signing.clone(),
        ));
        Ok(TrustFile::new(issuers, signing)?)
    }

    /// A key that is there but not trusted stays so: somebody may have taken it out.
    fn replace_missing_keys(
        &self,
        mut trust: TrustFile,
        new_keys: &mut NewKeys,
        env: &Environment,
    ) -> Result<TrustFile, KeyringError> {
        for (issuer, _, path) in self.single_keys() {
            if trust.issuer(&issuer).is_some() && !files::exists(&path)? {
                trust = trust.with_key(&issuer, new_keys.generate(|_| path))?;
            }
        }
        if trust.issuer(AUTHORIZATION_ISSUER).is_some()
            && files::pem_files(&self.signing_folder_path())?.is_empty()
        {
            let key = new_keys.generate(|key| self.signing_key_path(key, env.now()));
            trust = trust.with_signing_key(key)?;
        }
        Ok(trust)
    }

    /// Every issuer that has one key, and the key's file.
    fn single_keys(&self) -> Vec<(String, IssuerKind, PathBuf)> {
        let services = ServiceName::ALL.iter().copied().map(|service| {
            (
                service_issuer(service),
                IssuerKind::Service(service),
                self.service_key_path(service),
            )
        });
        let local = (
            LOCAL_ISSUER.to_owned(),
            IssuerKind::Users,
            self.local_issuer_path(),
        );
        services.chain([local]).collect()
    }

    fn trust_path(&self) -> PathBuf {
        self.folder.join("trust.json")
    }

    fn service_key_path(&self, service: ServiceName) -> PathBuf {
        self.folder.join("keys").join(format!("{service}.pem"))
    }

    fn local_issuer_path(&self) -> PathBuf {
        self.folder.join("keys/local-issuer.pem")
    }

    fn signing_folder_path(&self) -> PathBuf {
        self.folder.join("keys/signing")
    }

    fn signing_key_path(&self, key: &SigningKey, start_time: DateTime<Utc>) -> PathBuf {
        self.signing_folder_path()
            .join(signing_folder::file_name(key, start_time))
    }
}

/// Keys that are not written yet.
#[derive(Default)]
struct NewKeys(Vec<(PathBuf, SigningKey)>);

impl NewKeys {
    fn generate(&mut self, path: impl FnOnce(&SigningKey) -> PathBuf) -> PublicKey {
        let key = SigningKey::generate();
        let public = key.public().clone();
        self.0.push((path(&key), key));
        public
    }
}

fn load(path: &Path) -> Result<SigningKey, KeyringError> {
    match SigningKey::load(path) {
        Err(KeyError::File(error)) if error.is_not_found() => Err(KeyringError::Missing {
            path: path.to_owned(),
        }),
        other => Ok(other?),
    }
}

fn write_key(path: &Path, key: &SigningKey) -> Result<(), KeyringError> {
    Ok(files::write(path, key.to_pem()?.as_bytes())?)
}
