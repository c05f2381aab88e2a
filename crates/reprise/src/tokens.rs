//! Tokens that whoever holds the keys can make.

use std::sync::Arc;

use anyhow::Result;
use chassis::environment::Environment;
use chassis::identity::{Keyring, LOCAL_ISSUER, mint_user_token};
use chrono::TimeDelta;
use model::names::ServiceName;

const LIFETIME: TimeDelta = TimeDelta::hours(24);

/// A token of 24 hours for `user:{name}`, signed by the local issuer.
pub(crate) fn for_person(
    keyring: &Keyring,
    name: &str,
    environment: &Environment,
) -> Result<String> {
    let key = keyring.local_issuer()?;
    Ok(mint_user_token(
        &key,
        LOCAL_ISSUER,
        &name.parse()?,
        &[],
        LIFETIME,
        environment,
    )?)
}

/// The token that the orchestrator shows to the registry.
pub(crate) fn of_orchestrator(keyring: &Keyring, environment: &Environment) -> Result<Arc<str>> {
    let tokens = keyring.service_tokens(ServiceName::RollbackOrchestrator, environment.clone())?;
    Ok(tokens.token(ServiceName::DeployRegistry)?)
}
