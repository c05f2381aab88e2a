//! The tokens by which a service calls another.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderValue;
use model::{Principal, ServiceName};

use super::keys::SigningKey;
use super::token::{self, MintError};
use super::trust::service_issuer;
use crate::environment::Environment;

const LIFETIME: TimeDelta = TimeDelta::minutes(5);

/// A token this close to its end is not given out, so that a call made with it does not outlive it.
const MARGIN: TimeDelta = TimeDelta::minutes(1);

/// Signs the tokens of one service with its own key, each for one other service. Cheap to clone.
#[derive(Clone)]
pub struct ServiceTokens(Arc<Inner>);

struct Inner {
    service: ServiceName,
    key: SigningKey,
    env: Environment,
    made: Mutex<HashMap<ServiceName, Made>>,
}

#[derive(Clone)]
struct Made {
    token: Arc<str>,
    header: HeaderValue,
    issue_time: DateTime<Utc>,
    expire_time: DateTime<Utc>,
}

impl ServiceTokens {
    /// The tokens of `service`, signed with its key.
    #[must_use]
    pub fn new(service: ServiceName, key: SigningKey, env: Environment) -> Self {
        Self(Arc::new(Inner {
            service,
            key,
            env,
            made: Mutex::default(),
        }))
    }

    /// The service whose tokens these are.
    #[must_use]
    pub fn service(&self) -> ServiceName {
        self.0.service
    }

    /// A token for calls to `audience` that is valid for at least another minute.
    ///
    /// # Errors
    ///
    /// If it cannot be made, which only a broken clock brings about.
    pub fn token(&self, audience: ServiceName) -> Result<Arc<str>, MintError> {
        self.made(audience).map(|made| made.token)
    }

    /// The same as the value of `authorization`, marked as sensitive.
    ///
    /// # Errors
    ///
    /// As for [`ServiceTokens::token`].
    pub fn header(&self, audience: ServiceName) -> Result<HeaderValue, MintError> {
        self.made(audience).map(|made| made.header)
    }

    /// The lock is held while a token is signed, which takes microseconds, so that it is signed
    /// once however many ask.
    fn made(&self, audience: ServiceName) -> Result<Made, MintError> {
        let mut all = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.0.env.now();
        if let Some(made) = all.get(&audience)
            // A clock that was set back would otherwise keep a token from the future.
            && made.issue_time <= now
            && now < made.expire_time - MARGIN
        {
            return Ok(made.clone());
        }
        let made = self.make(audience, now)?;
        all.insert(audience, made.clone());
        Ok(made)
    }

    fn make(&self, audience: ServiceName, now: DateTime<Utc>) -> Result<Made, MintError> {
        let Inner {
            service,
            key,
            env,
            made: _,
        } = &*self.0;
        let subject = Principal::Service(*service).to_string();
        let (token, expire_time) = token::mint_service_token(
            key,
            &service_issuer(*service),
            subject,
            audience,
            LIFETIME,
            env,
        )?;
        let mut header =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| MintError::Header)?;
        header.set_sensitive(true);
        Ok(Made {
            token: token.into(),
            header,
            issue_time: now,
            expire_time,
        })
    }
}

impl fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokens")
            .field("service", &self.0.service)
            .finish_non_exhaustive()
    }
}
