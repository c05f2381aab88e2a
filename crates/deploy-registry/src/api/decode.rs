//! Reading what more than one request has.

use std::fmt;
use std::str::FromStr;

use chassis::fields::Fields;
use chassis::filter::Filter;
use chassis::problem::Problem;
use model::{DeployName, DeployNumber, DeploymentName};

/// Parses the name that a call is about. It comes before everything else, because permission is
/// asked for it.
pub(super) fn name<T: FromStr<Err: fmt::Display>>(field: &str, text: &str) -> Result<T, Problem> {
    let mut fields = Fields::new();
    match fields.parse(field, text) {
        Some(name) => Ok(name),
        None => Err(fields.into_problem()),
    }
}

/// Reads the deploy that a writer believes to be the latest one.
pub(super) fn expected_latest(
    fields: &mut Fields,
    text: &str,
    deployment: &DeploymentName,
) -> Option<DeployNumber> {
    const FIELD: &str = "expected_latest_deploy";
    let name = fields.ok(FIELD, DeployName::parse_expected_latest(text))?;
    number_in(fields, FIELD, &name, deployment)
}

/// Reads a filter, and what its comparisons mean in a list.
pub(super) fn filter<T, E: fmt::Display>(
    fields: &mut Fields,
    text: &str,
    read: impl FnOnce(Filter) -> Result<T, E>,
) -> Option<T> {
    const FIELD: &str = "filter";
    let filter = fields.ok(FIELD, Filter::parse(text))?;
    fields.ok(FIELD, read(filter))
}

/// The number of a deploy, which must be one of the Deployment's.
pub(super) fn number_in(
    fields: &mut Fields,
    field: &str,
    name: &DeployName,
    deployment: &DeploymentName,
) -> Option<DeployNumber> {
    if name.deployment() == deployment {
        return Some(name.number());
    }
    fields.violation(
        field,
        "must be a deploy of the Deployment that `parent` names",
    );
    None
}
