use std::fmt;
use std::str::FromStr;

use super::id;
use super::{DeploymentName, NameError, RollbackId, Sha256Digest};

/// The number of a deploy in its Deployment's history.
///
/// Deploys count from 1, without gaps. [`DeployNumber::NONE`] stands before the first one and is
/// meant for "the latest deploy" of an empty history only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeployNumber(i64);

impl DeployNumber {
    /// No deploy yet.
    pub const NONE: Self = Self(0);

    /// Wraps a number; 0 is [`DeployNumber::NONE`].
    ///
    /// # Errors
    ///
    /// If the number is negative.
    pub const fn new(number: i64) -> Result<Self, NameError> {
        if number < 0 {
            Err(NameError::DeployNumberOrNone)
        } else {
            Ok(Self(number))
        }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether this stands before the first deploy.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The number of the deploy after this one; none after the greatest number.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl FromStr for DeployNumber {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = text.len() > 1 && text.starts_with('0');
        if !digits || leading_zero {
            return Err(NameError::DeployNumberOrNone);
        }
        text.parse()
            .map(Self)
            .map_err(|_| NameError::DeployNumberOrNone)
    }
}

impl fmt::Display for DeployNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `workspaces/{workspace}/deployments/{deployment}/deploys/{number}`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeployName {
    deployment: DeploymentName,
    number: DeployNumber,
}

impl DeployName {
    const FORM: &'static str = "workspaces/{workspace}/deployments/{deployment}/deploys/{number}";

    /// The name of the deploy with this number.
    ///
    /// With [`DeployNumber::NONE`] it is the name `…/deploys/0`, by which a writer says that it
    /// expects no deploy. Only [`DeployName::parse_expected_latest`] reads that back.
    #[must_use]
    pub const fn new(deployment: DeploymentName, number: DeployNumber) -> Self {
        Self { deployment, number }
    }

    /// Parses what a writer expects to be the latest deploy: a deploy, or `…/deploys/0` for none.
    ///
    /// # Errors
    ///
    /// If the text is neither.
    pub fn parse_expected_latest(text: &str) -> Result<Self, NameError> {
        let (deployment, number) = child(text, "deploys", Self::FORM)?;
        Ok(Self {
            deployment,
            number: number.parse()?,
        })
    }

    /// The Deployment in whose history the deploy is.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentName {
        &self.deployment
    }

    /// The number of the deploy.
    #[must_use]
    pub const fn number(&self) -> DeployNumber {
        self.number
    }
}

impl FromStr for DeployName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match Self::parse_expected_latest(text) {
            Ok(name) if name.number.is_none() => Err(NameError::DeployNumber),
            Err(NameError::DeployNumberOrNone) => Err(NameError::DeployNumber),
            other => other,
        }
    }
}

impl fmt::Display for DeployName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/deploys/{}", self.deployment, self.number)
    }
}

/// `workspaces/{workspace}/deployments/{deployment}/rollbacks/{uuid}`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollbackName {
    deployment: DeploymentName,
    id: RollbackId,
}

impl RollbackName {
    const FORM: &'static str = "workspaces/{workspace}/deployments/{deployment}/rollbacks/{uuid}";

    /// The name of the rollback with this id.
    #[must_use]
    pub const fn new(deployment: DeploymentName, id: RollbackId) -> Self {
        Self { deployment, id }
    }

    /// The Deployment that is rolled back.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentName {
        &self.deployment
    }

    /// The id of the rollback.
    #[must_use]
    pub const fn id(&self) -> RollbackId {
        self.id
    }
}

impl FromStr for RollbackName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (deployment, id) = child(text, "rollbacks", Self::FORM)?;
        Ok(Self {
            deployment,
            id: id.parse()?,
        })
    }
}

impl fmt::Display for RollbackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/rollbacks/{}", self.deployment, self.id)
    }
}

/// `workspaces/{workspace}/deployments/{deployment}/dagBundles/{sha256}`
///
/// A bundle belongs to its Deployment: the same bytes in another one have another name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DagBundleName {
    deployment: DeploymentName,
    digest: Sha256Digest,
}

impl DagBundleName {
    const FORM: &'static str =
        "workspaces/{workspace}/deployments/{deployment}/dagBundles/{sha256}";

    /// The name of the bundle whose bytes have this digest.
    #[must_use]
    pub const fn new(deployment: DeploymentName, digest: Sha256Digest) -> Self {
        Self { deployment, digest }
    }

    /// The Deployment that the bundle was uploaded for.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentName {
        &self.deployment
    }

    /// The digest of the bundle's bytes.
    #[must_use]
    pub const fn digest(&self) -> Sha256Digest {
        self.digest
    }
}

impl FromStr for DagBundleName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (deployment, digest) = child(text, "dagBundles", Self::FORM)?;
        Ok(Self {
            deployment,
            digest: digest.parse()?,
        })
    }
}

impl fmt::Display for DagBundleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/dagBundles/{}", self.deployment, self.digest)
    }
}

/// Splits the name of something that belongs to a Deployment into the Deployment and the last id.
fn child<'a>(
    text: &'a str,
    collection: &str,
    form: &'static str,
) -> Result<(DeploymentName, &'a str), NameError> {
    let (parent, id) = id::split(text, collection).ok_or(NameError::Form { expected: form })?;
    let deployment = parent
        .parse()
        .map_err(|error: NameError| error.of_form(form))?;
    Ok((deployment, id))
}
