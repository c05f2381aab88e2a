use model::DeployState;

/// What whoever ships a deploy can say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    RollingOut,
    Deployed,
    Failed,
}

impl Report {
    /// The state that is reported.
    pub(crate) const fn state(self) -> DeployState {
        match self {
            Self::RollingOut => DeployState::RollingOut,
            Self::Deployed => DeployState::Deployed,
            Self::Failed => DeployState::Failed,
        }
    }
}

/// The deploy is in a final state, and the report says another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Final(pub(crate) DeployState);

/// The state that a report leads to; none if the deploy has it already.
pub(crate) fn report(state: DeployState, report: Report) -> Result<Option<DeployState>, Final> {
    let reported = report.state();
    if state == reported {
        Ok(None)
    } else if state.is_final() {
        Err(Final(state))
    } else {
        Ok(Some(reported))
    }
}

#[cfg(test)]
mod tests {
    use DeployState::{Deployed, Failed, Pending, RollingOut, Superseded};

    use super::*;

    #[test]
    fn a_deploy_goes_on_until_its_state_is_final() {
        let cases = [
            (Pending, Report::RollingOut, Ok(Some(RollingOut))),
            (Pending, Report::Deployed, Ok(Some(Deployed))),
            (Pending, Report::Failed, Ok(Some(Failed))),
            (RollingOut, Report::RollingOut, Ok(None)),
            (RollingOut, Report::Deployed, Ok(Some(Deployed))),
            (RollingOut, Report::Failed, Ok(Some(Failed))),
            (Deployed, Report::RollingOut, Err(Final(Deployed))),
            (Deployed, Report::Deployed, Ok(None)),
            (Deployed, Report::Failed, Err(Final(Deployed))),
            (Failed, Report::RollingOut, Err(Final(Failed))),
            (Failed, Report::Deployed, Err(Final(Failed))),
            (Failed, Report::Failed, Ok(None)),
            (Superseded, Report::RollingOut, Err(Final(Superseded))),
            (Superseded, Report::Deployed, Err(Final(Superseded))),
            (Superseded, Report::Failed, Err(Final(Superseded))),
        ];
        for (state, reported, expected) in cases {
            assert_eq!(report(state, reported), expected, "{state} {reported:?}");
        }
    }
}
