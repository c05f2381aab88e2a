//! The words for how a Deployment gets its DAGs, what a rollback covers, and how far a deploy is.

text_enum! {
    /// Where a Deployment's DAGs come from: its "Dag deploy setting".
    pub enum DagDeployMode: "DAG deploy mode" {
        /// The DAGs are inside the image.
        Image = "IMAGE",
        /// DAG bundles are shipped beside the image.
        DagOnly = "DAG_ONLY",
        /// The Deployment pulls its DAGs from a Git repository by itself.
        GitSync = "GIT_SYNC",
        /// The DAGs lie on a mounted volume, which Reprise neither sees nor changes.
        Nfs = "NFS",
    }
}

text_enum! {
    /// The part of a deploy that a rollback brings back.
    pub enum Scope: "scope" {
        /// Everything, and the DAG deploy mode.
        All = "ALL",
        /// The image, and the runtime version with it.
        Image = "IMAGE",
        /// The DAG bundle and the dbt bundles.
        Dags = "DAGS",
    }
}

text_enum! {
    /// How far a deploy has come.
    pub enum DeployState: "deploy state" {
        /// Recorded; nothing has been shipped.
        Pending = "PENDING",
        /// On its way to the Deployment.
        RollingOut = "ROLLING_OUT",
        /// It runs, or ran.
        Deployed = "DEPLOYED",
        /// It could not be shipped.
        Failed = "FAILED",
        /// A later deploy came before it was done.
        Superseded = "SUPERSEDED",
    }
}

impl DeployState {
    /// Whether no report can change the state any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::RollingOut => false,
            Self::Deployed | Self::Failed | Self::Superseded => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DagDeployMode, DeployState, Scope};

    #[test]
    fn every_text_parses_back() {
        for mode in DagDeployMode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(*mode));
        }
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
        }
        for state in DeployState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
    }

    #[test]
    fn an_unknown_text_is_told_what_is_allowed() {
        let error = "image".parse::<Scope>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown scope, expected one of ALL, IMAGE, DAGS"
        );
    }

    #[test]
    fn only_what_ended_is_final() {
        let last: Vec<_> = DeployState::ALL
            .iter()
            .filter(|state| state.is_final())
            .collect();
        assert_eq!(
            last,
            [
                &DeployState::Deployed,
                &DeployState::Failed,
                &DeployState::Superseded
            ]
        );
    }
}
