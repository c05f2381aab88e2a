use model::{DeployNumber, DeployState};

/// Where the history of a Deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History {
    /// The highest number. Every write compares against it.
    pub(crate) latest: DeployNumber,
    /// The deploy that runs now.
    pub(crate) current: DeployNumber,
    /// The deploy that ran before it.
    pub(crate) previous: DeployNumber,
}

impl History {
    /// The number of the next deploy.
    pub(crate) fn next(self) -> DeployNumber {
        Self::after(self.latest)
    }

    /// The number of the deploy after this one.
    pub(crate) fn after(latest: DeployNumber) -> DeployNumber {
        // After the greatest number there is none, and nobody gets there.
        latest.next().unwrap_or(latest)
    }

    /// The history after the next deploy is written in this state. What runs changes only if that is
    /// DEPLOYED.
    pub(crate) fn advanced(self, state: DeployState) -> Self {
        let latest = self.next();
        match state {
            DeployState::Deployed => Self { latest, ..self }.deployed(latest),
            DeployState::Pending
            | DeployState::RollingOut
            | DeployState::Failed
            | DeployState::Superseded => Self { latest, ..self },
        }
    }

    /// The history after a deploy reached the state DEPLOYED. Only the latest one can be unfinished,
    /// so that it is the highest of those that did.
    pub(crate) const fn deployed(self, number: DeployNumber) -> Self {
        Self {
            latest: self.latest,
            current: number,
            previous: self.current,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_changes_once_a_deploy_is_deployed() {
        let number = |number| DeployNumber::new(number).unwrap();
        let history = |latest, current, previous| History {
            latest: number(latest),
            current: number(current),
            previous: number(previous),
        };
        let before = history(4, 3, 1);
        assert_eq!(before.advanced(DeployState::Deployed), history(5, 5, 3));
        let pending = before.advanced(DeployState::Pending);
        assert_eq!(pending, history(5, 3, 1));
        assert_eq!(pending.deployed(number(5)), history(5, 5, 3));
    }
}
