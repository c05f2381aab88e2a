//! What must hold of an identity provider's token, and who it makes of whoever brings it.

use chrono::{DateTime, Utc};
use model::Principal;
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

use super::keys::ProviderKeys;
use crate::identity::jws::{Header, JwsError, Parts};
use crate::identity::text;
use crate::identity::token::{Audience, Times};
use crate::identity::trust::{Algorithm, OidcIssuer, OidcSettings, SubjectError};

/// The groups of a person that count. Those after them do not.
const MAX_GROUPS: usize = 200;

/// Which check a token of an identity provider failed.
#[derive(Debug, Error)]
pub enum OidcTokenError {
    /// Not a token at all, or not signed by the key that it names.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// Signed, or not at all, in a way that the trust file does not allow.
    #[error("the algorithm is not among those of the issuer in the trust file")]
    Algorithm,
    /// Made for something that is no API, such as a logout.
    #[error("the type is neither `JWT` nor `at+jwt`")]
    Type,
    /// The provider has no such key, or had none when its keys were fetched last.
    #[error("the provider has no key {kid:?}")]
    UnknownKey {
        /// What the token says.
        kid: Option<String>,
    },
    /// Made for something that is not Reprise.
    #[error("the audience is not {expected:?}")]
    Audience {
        /// The audience that was expected.
        expected: String,
    },
    /// Nobody is named.
    #[error("claim `{claim}` is no text, or an empty one")]
    SubjectMissing {
        /// The claim that names the person.
        claim: String,
    },
    /// Somebody is named whom the provider has not made sure of.
    #[error("the provider has not verified the e-mail address")]
    EmailUnverified,
    /// The person's name cannot be a principal.
    #[error("the person cannot be a principal")]
    Subject(#[from] SubjectError),
}

/// Whoever brought a token that was verified.
#[derive(Debug)]
pub(in crate::identity) struct Person {
    pub(in crate::identity) principal: Principal,
    pub(in crate::identity) groups: Vec<Principal>,
    pub(in crate::identity) token_id: Option<String>,
    pub(in crate::identity) times: Times,
}

#[derive(Deserialize)]
struct Claims {
    aud: Audience,
    #[serde(with = "text::seconds")]
    exp: DateTime<Utc>,
    #[serde(default, with = "text::optional_seconds")]
    nbf: Option<DateTime<Utc>>,
    #[serde(default, with = "text::optional_seconds")]
    iat: Option<DateTime<Utc>>,
    jti: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Verifies all of a token but its times, which are judged as those of any token. The token is known
/// to name the issuer.
pub(in crate::identity) fn verify(
    issuer: &OidcIssuer,
    keys: &ProviderKeys,
    token: &str,
) -> Result<Person, OidcTokenError> {
    let settings = issuer.settings();
    let parts = Parts::split(token)?;
    verify_signature(settings, keys, &parts)?;

    let Claims {
        aud,
        exp,
        nbf,
        iat,
        jti,
        others,
    } = parts.claims()?;
    if !aud.contains(&settings.audience) {
        return Err(OidcTokenError::Audience {
            expected: settings.audience.clone(),
        });
    }
    Ok(Person {
        principal: person(settings, &others)?,
        groups: groups(issuer, &others),
        token_id: jti,
        times: Times { exp, nbf, iat },
    })
}

fn verify_signature(
    settings: &OidcSettings,
    keys: &ProviderKeys,
    parts: &Parts<'_>,
) -> Result<(), OidcTokenError> {
    let Header {
        alg,
        typ,
        kid,
        crit,
    } = parts.header()?;
    let algorithm = Algorithm::named(&alg)
        .filter(|algorithm| settings.algorithms.contains(algorithm))
        .ok_or(OidcTokenError::Algorithm)?;
    if crit.is_some() {
        return Err(JwsError::Critical.into());
    }
    let is_token = |typ: &str| {
        ["JWT", "at+jwt"]
            .iter()
            .any(|t| typ.eq_ignore_ascii_case(t))
    };
    if typ.is_some_and(|typ| !is_token(&typ)) {
        return Err(OidcTokenError::Type);
    }
    if kid.is_none() && keys.len() > 1 {
        return Err(JwsError::KeyIdMissing.into());
    }
    if !keys.has(kid.as_deref()) {
        return Err(OidcTokenError::UnknownKey { kid });
    }
    if keys.have_signed(kid.as_deref(), algorithm, parts.message, parts.signature) {
        return Ok(());
    }
    match kid {
        Some(_) => Err(JwsError::Signature.into()),
        // Not by the only key that was there: it may be another one by now.
        None => Err(OidcTokenError::UnknownKey { kid }),
    }
}

fn person(
    settings: &OidcSettings,
    claims: &Map<String, Value>,
) -> Result<Principal, OidcTokenError> {
    let claim = &settings.subject_claim;
    let name = claims.get(claim).and_then(Value::as_str);
    let name =
        name.filter(|name| !name.is_empty())
            .ok_or_else(|| OidcTokenError::SubjectMissing {
                claim: claim.clone(),
            })?;
    // Many providers do not say. One that does is believed; some say it in text.
    let verified = match claims.get("email_verified") {
        None => true,
        Some(verified) => *verified == Value::Bool(true) || verified == "true",
    };
    if claim == "email" && !verified {
        return Err(OidcTokenError::EmailUnverified);
    }
    let name = format!("{}{name}", settings.subject_prefix);
    Ok(Principal::user(&name).map_err(SubjectError::from)?)
}

/// What is no name of a group is left out: without a group somebody can do less, never more.
fn groups(issuer: &OidcIssuer, claims: &Map<String, Value>) -> Vec<Principal> {
    let claim = issuer.settings().groups_claim.as_ref();
    let named: &[Value] = match claim.and_then(|claim| claims.get(claim)) {
        Some(Value::Array(groups)) => groups,
        Some(group) => std::slice::from_ref(group),
        None => &[],
    };
    named
        .iter()
        .filter_map(Value::as_str)
        .filter(|group| !group.is_empty())
        .filter_map(|group| Principal::group(&format!("{}{group}", issuer.group_prefix())).ok())
        .take(MAX_GROUPS)
        .collect()
}
