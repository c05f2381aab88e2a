//! How fresh the policy must be that answers a check.

use std::sync::Arc;

use chassis::fields::Fields;
use proto::authorization::v1::Consistency;
use proto::authorization::v1::consistency::Requirement;

use crate::domain::index::Index;
use crate::domain::policy::PolicyRevision;
use crate::domain::tokens::Credential;
use crate::policy::{Error, Policy};

/// How fresh the policy must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// What is in memory, a few seconds behind at most.
    FromMemory,
    /// At least this revision.
    AtLeast(PolicyRevision),
    /// The newest one.
    Newest,
}

impl Freshness {
    /// Reads what a caller asks for; unset means from memory.
    pub(super) fn read(fields: &mut Fields, consistency: Option<Consistency>) -> Option<Self> {
        let Some(Consistency {
            requirement: Some(requirement),
        }) = consistency
        else {
            return Some(Self::FromMemory);
        };
        let (field, freshness) = match requirement {
            Requirement::MinimizeLatency(true) => return Some(Self::FromMemory),
            Requirement::FullyConsistent(true) => return Some(Self::Newest),
            Requirement::AtLeastAsFresh(revision @ 0..) => {
                return Some(Self::AtLeast(PolicyRevision(revision)));
            }
            Requirement::MinimizeLatency(false) => ("minimize_latency", "must be true, or unset"),
            Requirement::FullyConsistent(false) => ("fully_consistent", "must be true, or unset"),
            Requirement::AtLeastAsFresh(..0) => ("at_least_as_fresh", "must not be negative"),
        };
        fields.violation(&format!("consistency.{field}"), freshness);
        None
    }

    /// The policy, so fresh, after it was made sure that the token was not revoked.
    pub(super) async fn of(
        self,
        policy: &Policy,
        credential: &Credential,
    ) -> Result<Arc<Index>, Error> {
        match self {
            Self::FromMemory => policy.remembered(credential),
            Self::AtLeast(revision) => policy.at_least(revision, credential).await,
            Self::Newest => policy.newest(credential).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_read_and_nonsense_is_refused() {
        let newest = PolicyRevision(7);
        for (requirement, expected) in [
            (None, Some(Freshness::FromMemory)),
            (
                Some(Requirement::MinimizeLatency(true)),
                Some(Freshness::FromMemory),
            ),
            (Some(Requirement::MinimizeLatency(false)), None),
            (
                Some(Requirement::AtLeastAsFresh(7)),
                Some(Freshness::AtLeast(newest)),
            ),
            (Some(Requirement::AtLeastAsFresh(-1)), None),
            (
                Some(Requirement::FullyConsistent(true)),
                Some(Freshness::Newest),
            ),
            (Some(Requirement::FullyConsistent(false)), None),
        ] {
            let mut fields = Fields::new();
            let found = Freshness::read(&mut fields, Some(Consistency { requirement }));
            assert_eq!(found, expected, "{requirement:?}");
            assert_eq!(fields.finish().is_ok(), expected.is_some());
        }
        assert_eq!(
            Freshness::read(&mut Fields::new(), None),
            Some(Freshness::FromMemory)
        );
    }
}
