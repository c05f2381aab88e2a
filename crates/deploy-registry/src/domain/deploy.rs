use chrono::{DateTime, Utc};
use model::{DagDeployMode, DeployName, DeployNumber, DeployState, Principal, RollbackId, Scope};
use uuid::Uuid;

use super::etag::etag;
use super::{Component, ImageVerification, Mark, Pin, Revision, RevisionDigest, Settings};

/// One entry of a Deployment's history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deploy {
    pub(crate) name: DeployName,
    pub(crate) deploy_type: DeployType,
    pub(crate) trigger: DeployTrigger,
    pub(crate) description: String,
    pub(crate) revision: Revision,
    pub(crate) revision_digest: RevisionDigest,
    /// Whether the image registry confirmed the image, if it was asked.
    pub(crate) image_verification: Option<ImageVerification>,
    /// Whether a bundle of the revision is gone.
    pub(crate) artifacts_gone: bool,
    /// The parts in which the revision differs from the one before it.
    pub(crate) changed: Vec<Component>,
    pub(crate) git: Option<GitSource>,
    /// Set if a rollback made the deploy.
    pub(crate) rollback: Option<RollbackOrigin>,
    /// The Deployment's settings when the deploy was written.
    pub(crate) settings: Settings,
    pub(crate) state: DeployState,
    /// Why it is in that state, for people.
    pub(crate) state_reason: String,
    pub(crate) created_by: Principal,
    pub(crate) create_time: DateTime<Utc>,
    /// When it reached the state DEPLOYED.
    pub(crate) deploy_time: Option<DateTime<Utc>>,
    /// When it ceased to be the current one.
    pub(crate) ceased_time: Option<DateTime<Utc>>,
    pub(crate) update_time: DateTime<Utc>,
    /// The Deployment's change with which the deploy last changed.
    pub(crate) change: i64,
    pub(crate) pin: Option<Pin>,
    pub(crate) mark: Option<Mark>,
}

impl Deploy {
    /// Changes whenever the deploy changes.
    pub(crate) fn etag(&self) -> String {
        etag(&[&self.name.to_string(), &self.change.to_string()])
    }
}

/// What a deploy shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeployType {
    /// An image, and DAGs beside it or inside it.
    ImageAndDags,
    /// An image; the DAGs stayed.
    ImageOnly,
    /// A DAG bundle, perhaps with dbt bundles; the image stayed.
    DagsOnly,
    /// Dbt bundles alone.
    Dbt,
}

impl DeployType {
    const ALL: [Self; 4] = [
        Self::ImageAndDags,
        Self::ImageOnly,
        Self::DagsOnly,
        Self::Dbt,
    ];

    /// The type of a deploy that ships an image or not and a DAG bundle or not, in this mode. What
    /// ships neither ships dbt bundles.
    pub(crate) const fn of(image: bool, dag_bundle: bool, mode: DagDeployMode) -> Self {
        match (image, dag_bundle, mode) {
            (true, true, _) | (true, false, DagDeployMode::Image) => Self::ImageAndDags,
            (true, false, DagDeployMode::DagOnly | DagDeployMode::GitSync | DagDeployMode::Nfs) => {
                Self::ImageOnly
            }
            (false, true, _) => Self::DagsOnly,
            (false, false, _) => Self::Dbt,
        }
    }

    /// The text that is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ImageAndDags => "IMAGE_AND_DAGS",
            Self::ImageOnly => "IMAGE_ONLY",
            Self::DagsOnly => "DAGS_ONLY",
            Self::Dbt => "DBT",
        }
    }

    /// The type of a stored text.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|deploy_type| deploy_type.as_str() == text)
    }
}

/// What made a deploy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum DeployTrigger {
    /// A call of CreateDeploy.
    #[default]
    Api,
    Rollback,
    /// A workflow of GitHub.
    Github,
    /// A commit that the Deployment has pulled by itself.
    GitSync,
}

impl DeployTrigger {
    const ALL: [Self; 4] = [Self::Api, Self::Rollback, Self::Github, Self::GitSync];

    /// The text that is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Rollback => "ROLLBACK",
            Self::Github => "GITHUB",
            Self::GitSync => "GIT_SYNC",
        }
    }

    /// The trigger of a stored text.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|trigger| trigger.as_str() == text)
    }
}

/// The git commit that a deploy was built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GitSource {
    pub(crate) provider: String,
    pub(crate) repository: String,
    pub(crate) branch: String,
    pub(crate) commit_sha: String,
    pub(crate) author: String,
    pub(crate) commit_url: String,
}

/// Where a rollback deploy came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RollbackOrigin {
    /// The deploy that was rolled back to.
    pub(crate) source: DeployNumber,
    /// The deploy that was current before.
    pub(crate) replaced: DeployNumber,
    pub(crate) scope: Scope,
    pub(crate) rollback: RollbackId,
    pub(crate) permit: PermitId,
}

/// The id of a permit, which is taken once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PermitId(Uuid);

impl PermitId {
    pub(crate) const fn new(id: Uuid) -> Self {
        Self(id)
    }

    pub(crate) const fn get(self) -> Uuid {
        self.0
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::revision::tests::image_only;

    /// A deploy of the Deployment `workspaces/data/deployments/etl`.
    pub(crate) fn deploy(number: i64) -> Deploy {
        let revision = image_only(DagDeployMode::DagOnly, 'a', "3.1-9");
        let time = DateTime::from_timestamp(1_767_225_600, 123_456_000).unwrap();
        Deploy {
            name: format!("workspaces/data/deployments/etl/deploys/{number}")
                .parse()
                .unwrap(),
            deploy_type: DeployType::ImageOnly,
            trigger: DeployTrigger::Api,
            description: String::new(),
            revision_digest: revision.digest(),
            image_verification: None,
            artifacts_gone: false,
            changed: vec![Component::Image],
            revision,
            git: None,
            rollback: None,
            settings: Settings::new(),
            state: DeployState::Deployed,
            state_reason: String::new(),
            created_by: "user:alice@example.com".parse().unwrap(),
            create_time: time,
            deploy_time: Some(time),
            ceased_time: None,
            update_time: time,
            change: number + 1,
            pin: None,
            mark: None,
        }
    }

    #[test]
    fn the_type_says_what_was_shipped() {
        use DagDeployMode::{DagOnly, GitSync, Image, Nfs};

        for (image, dag_bundle, mode, expected) in [
            (true, true, DagOnly, DeployType::ImageAndDags),
            (true, false, DagOnly, DeployType::ImageOnly),
            (false, true, DagOnly, DeployType::DagsOnly),
            (false, false, DagOnly, DeployType::Dbt),
            (true, false, Image, DeployType::ImageAndDags),
            (false, false, Image, DeployType::Dbt),
            (true, false, GitSync, DeployType::ImageOnly),
            (true, false, Nfs, DeployType::ImageOnly),
        ] {
            assert_eq!(DeployType::of(image, dag_bundle, mode), expected, "{mode}");
        }
    }

    #[test]
    fn stored_texts_are_read_back() {
        for deploy_type in DeployType::ALL {
            assert_eq!(
                DeployType::from_text(deploy_type.as_str()),
                Some(deploy_type)
            );
        }
        for trigger in DeployTrigger::ALL {
            assert_eq!(DeployTrigger::from_text(trigger.as_str()), Some(trigger));
        }
        assert_eq!(DeployType::from_text(""), None);
        assert_eq!(DeployTrigger::from_text("GITLAB"), None);
    }
}
