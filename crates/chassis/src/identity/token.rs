//! What a token says, and making one for a person or a service account.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use model::{PrincipalId, ServiceAccountName, ServiceName};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::jws;
use super::keys::SigningKey;
use super::text;
use crate::environment::Environment;

/// The `aud` of tokens of people and service accounts: any service of Reprise.
pub const AUDIENCE: &str = "reprise";

/// The `typ` of a token. A permit has another.
pub(super) const TYPE: &str = "JWT";

/// Why a token was not made.
#[derive(Debug, Error)]
pub enum MintError {
    /// It would not be valid for a single second.
    #[error("the token would expire before it can be used, or out of all range")]
    Lifetime,
    /// No service would look at it.
    #[error(
        "the token would be longer than {} bytes: too many or too long groups",
        jws::MAX_LENGTH
    )]
    TooLong,
    /// The token could not be put into a header.
    #[error("the token could not be put into a header")]
    Header,
    /// The claims could not be written.
    #[error("the claims could not be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// What a token says. Unknown claims are left to whoever put them there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) aud: Audience,
    #[serde(with = "text::seconds")]
    pub(super) exp: DateTime<Utc>,
    #[serde(
        default,
        with = "text::optional_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) nbf: Option<DateTime<Utc>>,
    #[serde(
        default,
        with = "text::optional_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) iat: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) jti: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) groups: Vec<String>,
}

impl Claims {
    /// When the token counts.
    pub(super) fn times(&self) -> Times {
        Times {
            exp: self.exp,
            nbf: self.nbf,
            iat: self.iat,
        }
    }
}

/// When a token counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) exp: DateTime<Utc>,
    pub(super) nbf: Option<DateTime<Utc>>,
    pub(super) iat: Option<DateTime<Utc>>,
}

/// RFC 7519 allows one audience, or a list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    pub(super) fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }

    pub(super) fn is_only(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => matches!(many.as_slice(), [one] if one == audience),
        }
    }
}

/// Makes a token for a person, and the groups that the person is in.
///
/// # Errors
///
/// If the lifetime is below a second or out of range, or the groups do not fit into a token.
pub fn mint_user_token(
    key: &SigningKey,
    issuer: &str,
    user: &PrincipalId,
    groups: &[PrincipalId],
    lifetime: TimeDelta,
    env: &Environment,
) -> Result<String, MintError> {
    let claims = Claims {
        iss: issuer.to_owned(),
        sub: user.to_string(),
        aud: Audience::One(AUDIENCE.to_owned()),
        exp: after(env, lifetime)?,
        nbf: None,
        iat: Some(env.now()),
        jti: Some(env.new_uuid().to_string()),
        groups: groups.iter().map(PrincipalId::to_string).collect(),
    };
    mint(key, &claims)
}

/// Makes a token for a service account. `token_id` is what revokes it.
///
/// `expire_time` is rounded down to a second.
///
/// # Errors
///
/// If the token would have expired already.
pub fn mint_service_account_token(
    key: &SigningKey,
    issuer: &str,
    account: &ServiceAccountName,
    token_id: Uuid,
    expire_time: DateTime<Utc>,
    env: &Environment,
) -> Result<String, MintError> {
    let claims = Claims {
        iss: issuer.to_owned(),
        sub: account.to_string(),
        aud: Audience::One(AUDIENCE.to_owned()),
        exp: expire_time.trunc_subsecs(0),
        nbf: None,
        iat: Some(env.now()),
        jti: Some(token_id.to_string()),
        groups: Vec::new(),
    };
    mint(key, &claims)
}

/// Makes a token by which a service calls another.
pub(super) fn mint_service_token(
    key: &SigningKey,
    issuer: &str,
    subject: String,
    audience: ServiceName,
    lifetime: TimeDelta,
    env: &Environment,
) -> Result<(String, DateTime<Utc>), MintError> {
    let exp = after(env, lifetime)?;
    let claims = Claims {
        iss: issuer.to_owned(),
        sub: subject,
        aud: Audience::One(audience.to_string()),
        exp,
        nbf: None,
        iat: Some(env.now()),
        jti: Some(env.new_uuid().to_string()),
        groups: Vec::new(),
    };
    Ok((mint(key, &claims)?, exp))
}

fn after(env: &Environment, lifetime: TimeDelta) -> Result<DateTime<Utc>, MintError> {
    let time = env
        .now()
        .checked_add_signed(lifetime)
        .ok_or(MintError::Lifetime)?;
    Ok(time.trunc_subsecs(0))
}

fn mint(key: &SigningKey, claims: &Claims) -> Result<String, MintError> {
    if claims.iat.is_some_and(|iat| claims.exp <= iat) {
        return Err(MintError::Lifetime);
    }
    let token = jws::sign(key, TYPE, claims)?;
    if token.len() > jws::MAX_LENGTH {
        Err(MintError::TooLong)
    } else {
        Ok(token)
    }
}
