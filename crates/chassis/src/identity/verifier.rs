//! From a token to a [`Caller`], or to the check that failed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use model::{NameError, Principal, ServiceName};
use serde::Deserialize;
use thiserror::Error;

use super::caller::{self, Caller};
use super::current::Current;
use super::jws::{self, JwsError, Parts, Unverified};
use super::oidc::provider::Provider;
use super::oidc::token::{self as oidc_token, OidcTokenError, Person};
use super::token::{self, AUDIENCE, Claims, Times};
use super::trust::{IssuerKind, SubjectError, TrustFile};
use super::verified::{self, VerifiedTokens};
use crate::environment::Environment;
use crate::problem::Problem;

/// By how much an issuer's clock may be ahead of ours. There is no such allowance for `exp`: what
/// is too early comes right by waiting, and what is too late must not be believed.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);

/// Services make new tokens every few minutes. One for longer was not made by them.
const MAX_SERVICE_LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// Which check a token failed. For the log: a caller learns only that it failed.
#[derive(Debug, Error)]
pub enum TokenError {
    /// Not a token at all, made for something else, or not signed by the key that it names.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// Nobody has been told to trust the issuer.
    #[error("issuer {issuer:?} is not trusted")]
    UnknownIssuer {
        /// What the token says.
        issuer: String,
    },
    /// The issuer has no such key.
    #[error("issuer {issuer:?} has no key {kid:?}")]
    UnknownKey {
        /// The issuer.
        issuer: String,
        /// What the token says.
        kid: String,
    },
    /// Made for another service, or for something that is not Reprise.
    #[error("the audience is not {expected:?}")]
    Audience {
        /// The audience that was expected.
        expected: String,
    },
    /// No more.
    #[error("expired at {expire_time}")]
    Expired {
        /// Since when.
        expire_time: DateTime<Utc>,
    },
    /// Not yet.
    #[error("not valid before {valid_from}")]
    NotYetValid {
        /// From when on.
        valid_from: DateTime<Utc>,
    },
    /// A service's token that is valid for longer than services make them, or does not say since
    /// when.
    #[error("a service's token must say `iat` and last at most {} minutes", MAX_SERVICE_LIFETIME.num_minutes())]
    ServiceLifetime,
    /// A service account's token that could not be revoked.
    #[error("a service account's token must have an id, `jti`")]
    TokenIdMissing,
    /// The issuer may not speak for the subject, or it is no name.
    #[error("an issuer of kind {kind} cannot speak for the subject")]
    Subject {
        /// For whom the issuer may speak.
        kind: IssuerKind,
        /// What is wrong with the subject.
        source: SubjectError,
    },
    /// A token of an identity provider that failed one of its checks.
    #[error("a token of issuer {issuer:?}")]
    Oidc {
        /// The identity provider.
        issuer: String,
        /// The check.
        source: OidcTokenError,
    },
    /// The identity provider cannot be asked for its keys: neither yes nor no.
    #[error("the keys of issuer {issuer:?} could not be fetched, or not for a day")]
    NoProviderKeys {
        /// The identity provider.
        issuer: String,
    },
    /// A group that is no name.
    #[error("a group of the token cannot be a principal")]
    Group(#[source] NameError),
}

impl TokenError {
    /// What a caller is told: `refused`, and no more, if the token is to blame; else that the identity
    /// provider cannot be reached.
    #[must_use]
    pub fn into_problem(self, refused: Problem) -> Problem {
        if let Self::NoProviderKeys { issuer: _ } = self {
            Problem::unavailable("the identity provider", self)
        } else {
            refused.caused_by(self)
        }
    }
}

/// Verifies the tokens that come to one service.
pub struct TokenVerifier {
    trusted: Current<Trusted>,
    audience: ServiceName,
    env: Environment,
}

/// Who is trusted, and the tokens that were verified by that. They are replaced together, so that
/// nobody is believed on the word of an issuer that is not trusted any more.
struct Trusted {
    file: TrustFile,
    providers: BTreeMap<Arc<str>, Arc<Provider>>,
    verified: VerifiedTokens,
}

impl Trusted {
    /// A provider that was known before, with the same settings, keeps its keys.
    fn new(file: TrustFile, before: Option<&Self>, env: &Environment) -> Self {
        let providers = file.oidc_issuers().map(|issuer| {
            let known = before.and_then(|before| before.providers.get(issuer.name()));
            let provider = match known {
                Some(known) if known.issuer() == issuer => Arc::clone(known),
                Some(_) | None => Arc::new(Provider::new(issuer.clone(), env.clone())),
            };
            (issuer.name().clone(), provider)
        });
        Self {
            providers: providers.collect(),
            file,
            verified: VerifiedTokens::default(),
        }
    }

    /// The identity provider that the token names, if it names one.
    fn provider(&self, token: &str) -> Option<&Arc<Provider>> {
        #[derive(Deserialize)]
        struct Issuer {
            iss: String,
        }

        if self.providers.is_empty() {
            return None;
        }
        let Issuer { iss } = Parts::split(token).ok()?.claims().ok()?;
        self.providers.get(&*iss)
    }
}

/// Why a token was not accepted.
pub(super) enum Failure {
    /// Nothing can change it.
    Refused(TokenError),
    /// It may be accepted once the provider's keys are fetched anew.
    KeysOutdated(Arc<Provider>, TokenError),
}

impl Failure {
    pub(super) fn into_error(self) -> TokenError {
        match self {
            Self::Refused(error) | Self::KeysOutdated(_, error) => error,
        }
    }
}

impl<E: Into<TokenError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

impl TokenVerifier {
    /// Verifies what comes to the service `audience`.
    #[must_use]
    pub fn new(trust: TrustFile, audience: ServiceName, env: Environment) -> Self {
        Self {
            trusted: Current::new(Trusted::new(trust, None, &env)),
            audience,
            env,
        }
    }

    /// Trusts these issuers from now on, and no others. Tells whether that is a change.
    pub fn trust(&self, trust: TrustFile) -> bool {
        let before = self.trusted.get();
        let changed = before.file != trust;
        if changed {
            let trusted = Trusted::new(trust, Some(&before), &self.env);
            self.trusted.set(trusted);
        }
        changed
    }

    /// The identity providers that are trusted now.
    pub(super) fn providers(&self) -> Vec<Arc<Provider>> {
        self.trusted.get().providers.values().cloned().collect()
    }

    /// Who has this token. If it is of an identity provider and signed with a key that is not known,
    /// waits for the provider's keys to be fetched, which takes up to five seconds.
    ///
    /// A token that was verified within the last minute is not verified again. Whether it has been
    /// revoked is not asked here.
    ///
    /// # Errors
    ///
    /// The first check that the token failed.
    pub async fn identify(&self, token: &str) -> Result<Caller, TokenError> {
        match self.attempt(token) {
            Ok(caller) => Ok(caller),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::KeysOutdated(provider, _)) => {
                provider.refreshed().await;
                self.verify(token)
            }
        }
    }

    /// Who has this token, as far as the keys that are known now can tell.
    ///
    /// # Errors
    ///
    /// As for [`TokenVerifier::identify`].
    pub fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        self.attempt(token).map_err(Failure::into_error)
    }

    /// The same, telling what may change.
    pub(super) fn attempt(&self, token: &str) -> Result<Caller, Failure> {
        // Before anything is done with it: hashing a megabyte is work, too.
        if token.len() > jws::MAX_LENGTH {
            return Err(JwsError::TooLong.into());
        }
        let now = self.env.now();
        let digest = verified::digest(token);
        let trusted = self.trusted.get();
        if let Some(caller) = trusted.verified.get(&digest, now) {
            return Ok(caller);
        }
        let caller = match trusted.provider(token) {
            Some(provider) => verify_with(provider, token, now)?,
            None => self.verify_afresh(&trusted.file, token, now)?,
        };
        trusted.verified.insert(digest, caller.clone(), now);
        Ok(caller)
    }

    fn verify_afresh(
        &self,
        trust: &TrustFile,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<Caller, TokenError> {
        let unverified = Unverified::<Claims>::parse(token, token::TYPE)?;
        let name = &unverified.claims_to_find_the_key().iss;
        let issuer = trust
            .issuer(name)
            .ok_or_else(|| TokenError::UnknownIssuer {
                issuer: name.clone(),
            })?;
        let key = issuer
            .keys()
            .get(unverified.kid())
            .ok_or_else(|| TokenError::UnknownKey {
                issuer: issuer.name().to_string(),
                kid: unverified.kid().to_owned(),
            })?;
        let claims = unverified.verify(key)?;

        check_times(claims.times(), now)?;
        self.check_kind(issuer.kind(), &claims)?;

        let Claims {
            iss: _,
            sub,
            aud: _,
            exp,
            nbf: _,
            iat: _,
            jti,
            groups,
        } = claims;
        let kind = issuer.kind();
        let principal = kind
            .principal(&sub)
            .map_err(|source| TokenError::Subject { kind, source })?;
        Ok(Caller::new(caller::Inner {
            principal,
            groups: groups_of(kind, &groups)?,
            issuer: issuer.name().clone(),
            token_id: jti,
            expire_time: exp,
            token: token.to_owned(),
        }))
    }

    /// What is asked of a token depends on for whom its issuer speaks.
    fn check_kind(&self, kind: IssuerKind, claims: &Claims) -> Result<(), TokenError> {
        match kind {
            IssuerKind::Users => check_audience(claims),
            IssuerKind::ServiceAccounts => {
                check_audience(claims)?;
                let token_id = claims.jti.as_deref().unwrap_or_default();
                if token_id.is_empty() {
                    Err(TokenError::TokenIdMissing)
                } else {
                    Ok(())
                }
            }
            IssuerKind::Service(_) => {
                let audience = self.audience.as_str();
                if !claims.aud.is_only(audience) {
                    return Err(TokenError::Audience {
                        expected: audience.to_owned(),
                    });
                }
                let lifetime = claims.iat.map(|iat| claims.exp - iat);
                if lifetime.is_some_and(|lifetime| lifetime <= MAX_SERVICE_LIFETIME) {
                    Ok(())
                } else {
                    Err(TokenError::ServiceLifetime)
                }
            }
        }
    }
}

fn check_audience(claims: &Claims) -> Result<(), TokenError> {
    if claims.aud.contains(AUDIENCE) {
        Ok(())
    } else {
        Err(TokenError::Audience {
            expected: AUDIENCE.to_owned(),
        })
    }
}

/// Verifies a token of an identity provider.
fn verify_with(
    provider: &Arc<Provider>,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Caller, Failure> {
    let issuer = provider.issuer();
    let outdated = |error| Failure::KeysOutdated(Arc::clone(provider), error);
    let Some(keys) = provider.keys() else {
        return Err(outdated(TokenError::NoProviderKeys {
            issuer: issuer.name().to_string(),
        }));
    };
    let Person {
        principal,
        groups,
        token_id,
        times,
    } = oidc_token::verify(issuer, &keys, token).map_err(|source| {
        let unknown_key = matches!(source, OidcTokenError::UnknownKey { kid: _ });
        let error = TokenError::Oidc {
            issuer: issuer.name().to_string(),
            source,
        };
        if unknown_key {
            outdated(error)
        } else {
            error.into()
        }
    })?;
    check_times(times, now)?;
    Ok(Caller::new(caller::Inner {
        principal,
        groups,
        issuer: issuer.name().clone(),
        token_id,
        expire_time: times.exp,
        token: token.to_owned(),
    }))
}

fn check_times(times: Times, now: DateTime<Utc>) -> Result<(), TokenError> {
    let Times { exp, nbf, iat } = times;
    if exp <= now {
        return Err(TokenError::Expired { expire_time: exp });
    }
    for valid_from in [nbf, iat].into_iter().flatten() {
        if valid_from > now + LEEWAY {
            return Err(TokenError::NotYetValid { valid_from });
        }
    }
    Ok(())
}

/// Only people are in groups, whatever the token says.
fn groups_of(kind: IssuerKind, groups: &[String]) -> Result<Vec<Principal>, TokenError> {
    match kind {
        IssuerKind::Users => groups
            .iter()
            .map(|group| Principal::group(group))
            .collect::<Result<_, _>>()
            .map_err(TokenError::Group),
        IssuerKind::ServiceAccounts | IssuerKind::Service(_) => Ok(Vec::new()),
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
