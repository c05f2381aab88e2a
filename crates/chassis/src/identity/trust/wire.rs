//! The JSON of a trust file.

use serde::{Deserialize, Serialize};

use super::{IssuerKind, TrustError, TrustFile, TrustedIssuer};
use crate::identity::keys::KeySet;

pub(super) const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    version: u32,
    issuers: Vec<WireIssuer>,
    permit_keys: KeySet,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireIssuer {
    issuer: String,
    kind: WireKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    keys: KeySet,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireKind {
    Users,
    ServiceAccounts,
    Service,
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
        let issuers = issuers.into_iter().map(TrustedIssuer::try_from);
        Self::new(issuers.collect::<Result<Vec<_>, _>>()?, permit_keys)
    }
}

impl From<&TrustFile> for Wire {
    fn from(trust: &TrustFile) -> Self {
        Self {
            version: VERSION,
            issuers: trust.issuers().map(WireIssuer::from).collect(),
            permit_keys: trust.permit_keys().clone(),
        }
    }
}

impl TryFrom<WireIssuer> for TrustedIssuer {
    type Error = TrustError;

    fn try_from(wire: WireIssuer) -> Result<Self, TrustError> {
        let WireIssuer {
            issuer,
            kind,
            service,
            keys,
        } = wire;
        let kind = match (kind, service.map(|service| service.parse())) {
            (WireKind::Users, None) => IssuerKind::Users,
            (WireKind::ServiceAccounts, None) => IssuerKind::ServiceAccounts,
            (WireKind::Service, Some(Ok(service))) => IssuerKind::Service(service),
            (WireKind::Users | WireKind::ServiceAccounts, Some(_))
            | (WireKind::Service, None | Some(Err(_))) => {
                return Err(TrustError::Service {
                    issuer: issuer.into(),
                });
            }
        };
        Ok(Self::new(issuer, kind, keys))
    }
}

impl From<&TrustedIssuer> for WireIssuer {
    fn from(issuer: &TrustedIssuer) -> Self {
        let (kind, service) = match issuer.kind() {
            IssuerKind::Users => (WireKind::Users, None),
            IssuerKind::ServiceAccounts => (WireKind::ServiceAccounts, None),
            IssuerKind::Service(service) => (WireKind::Service, Some(service.to_string())),
        };
        Self {
            issuer: issuer.name().to_string(),
            kind,
            service,
            keys: issuer.keys().clone(),
        }
    }
}
