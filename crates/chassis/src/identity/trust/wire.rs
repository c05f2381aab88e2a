//! The JSON of a trust file.

use model::ServiceName;
use serde::{Deserialize, Serialize};

use super::{IssuerKind, OidcIssuer, OidcSettings, TrustError, TrustFile, TrustedIssuer};
use crate::identity::keys::KeySet;
use crate::identity::text;

pub(super) const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    version: u32,
    issuers: Vec<WireIssuer>,
    permit_keys: KeySet,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum WireIssuer {
    Users {
        issuer: String,
        keys: KeySet,
    },
    ServiceAccounts {
        issuer: String,
        keys: KeySet,
    },
    Service {
        issuer: String,
        #[serde(with = "text")]
        service: ServiceName,
        keys: KeySet,
    },
    Oidc(OidcSettings),
}

impl TryFrom<Wire> for TrustFile {
    type Error = TrustError;

    fn try_from(wire: Wire) -> Result<Self, TrustError> {
        let Wire {
            version,
            issuers,
            permit_keys,
        } = wire;
        if version != VERSION {
            return Err(TrustError::Version { found: version });
        }
        if issuers.is_empty() {
            return Err(TrustError::Empty);
        }
        let mut with_keys = Vec::new();
        let mut oidc = Vec::new();
        for issuer in issuers {
            let (issuer, kind, keys) = match issuer {
                WireIssuer::Users { issuer, keys } => (issuer, IssuerKind::Users, keys),
                WireIssuer::ServiceAccounts { issuer, keys } => {
                    (issuer, IssuerKind::ServiceAccounts, keys)
                }
                WireIssuer::Service {
                    issuer,
                    service,
                    keys,
                } => (issuer, IssuerKind::Service(service), keys),
                WireIssuer::Oidc(settings) => {
                    oidc.push(settings);
                    continue;
                }
            };
            with_keys.push(TrustedIssuer::new(issuer, kind, keys));
        }
        let trust = Self::new(with_keys, permit_keys)?;
        oidc.into_iter().try_fold(trust, Self::with_oidc)
    }
}

impl From<&TrustFile> for Wire {
    fn from(trust: &TrustFile) -> Self {
        let oidc = trust.oidc_issuers().map(OidcIssuer::settings);
        Self {
            version: VERSION,
            issuers: trust
                .issuers()
                .map(WireIssuer::from)
                .chain(oidc.cloned().map(WireIssuer::Oidc))
                .collect(),
            permit_keys: trust.permit_keys().clone(),
        }
    }
}

impl From<&TrustedIssuer> for WireIssuer {
    fn from(trusted: &TrustedIssuer) -> Self {
        let issuer = trusted.name().to_string();
        let keys = trusted.keys().clone();
        match trusted.kind() {
            IssuerKind::Users => Self::Users { issuer, keys },
            IssuerKind::ServiceAccounts => Self::ServiceAccounts { issuer, keys },
            IssuerKind::Service(service) => Self::Service {
                issuer,
                service,
                keys,
            },
        }
    }
}
