use std::fmt;
use std::str::FromStr;

use super::{DeployNumber, DeploymentName, NameError};

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
        let (deployment, number) = DeploymentName::of_child(text, "deploys", Self::FORM)?;
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
