//! What `previous` means: the last deploy that is known to have worked.

use model::{DeployNumber, DeployState, Scope};

use super::{Component, Deploy, Revision, RollbackOrigin, Verdict, changed_components};

/// How many deploys a search looks at.
pub(crate) const MOST_SEARCHED: usize = 1_000;

/// A search for the last known good deploy: down a history, from the current deploy.
///
/// It is for a deploy that is DEPLOYED, not marked BAD, and differs within the scope from what runs now.
/// Deploys that brought what runs now lead to it: if a rollback made one, the search goes on from the
/// deploy that it came from, so that it never finds what somebody has rolled back from.
#[derive(Debug)]
pub(crate) struct Search {
    scope: Scope,
    now: Revision,
    /// Whether the next deploy to look at is one that brought what runs now.
    brought_now: bool,
}

/// What a look at a deploy tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is the one.
    Found,
    /// Look at the one below it.
    Below,
    /// Look at this one next.
    At(DeployNumber),
}

impl Search {
    /// A search whose first look is at the current deploy.
    pub(crate) const fn new(scope: Scope, now: Revision) -> Self {
        Self {
            scope,
            now,
            brought_now: true,
        }
    }

    /// Looks at the next deploy.
    pub(crate) fn look(&mut self, deploy: &Deploy) -> Look {
        let deployed = deploy.state == DeployState::Deployed;
        let is_now = deployed && !differ(self.scope, &self.now, &deploy.revision);
        if self.brought_now || is_now {
            self.brought_now = deploy.rollback.is_some();
            return match &deploy.rollback {
                Some(origin) => Look::At(came_from(origin, self.scope)),
                None => Look::Below,
            };
        }
        let bad = deploy
            .mark
            .as_ref()
            .is_some_and(|mark| mark.verdict == Verdict::Bad);
        if deployed && !bad {
            Look::Found
        } else {
            Look::Below
        }
    }
}

/// The deploy that a rollback deploy has the parts of a scope from. A rollback of the other parts left
/// them as the deploy that it replaced had them.
const fn came_from(origin: &RollbackOrigin, scope: Scope) -> DeployNumber {
    match (origin.scope, scope) {
        (Scope::Image, Scope::Dags) | (Scope::Dags, Scope::Image) => origin.replaced,
        (Scope::All, Scope::All | Scope::Image | Scope::Dags)
        | (Scope::Image, Scope::All | Scope::Image)
        | (Scope::Dags, Scope::All | Scope::Dags) => origin.source,
    }
}

/// Whether two revisions differ in what a rollback of a scope is about.
fn differ(scope: Scope, now: &Revision, then: &Revision) -> bool {
    changed_components(Some(now), then)
        .into_iter()
        .any(|component| match component {
            Component::Image | Component::RuntimeVersion | Component::AirflowVersion => {
                scope != Scope::Dags
            }
            Component::DagBundle | Component::DbtBundles => scope != Scope::Image,
            Component::DagDeployMode => scope == Scope::All,
        })
}

#[cfg(test)]
mod tests;
