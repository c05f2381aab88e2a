use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::Caller;
use chassis::problem::Problem;
use model::DeploymentName;
use proto::registry::v1 as pb;

use super::{NEEDED, NEGATIVE, ahead, unreadable};
use crate::api::errors::{About, deployment_missing};
use crate::api::{Registry, access, encode};
use crate::domain::DeploymentUid;
use crate::feed::{Follower, MOST_AT_ONCE};
use crate::store::Error;

/// A Deployment that is watched.
pub(super) struct WatchedDeployment {
    name: DeploymentName,
    uid: DeploymentUid,
    /// The last change that was told.
    last: i64,
}

impl WatchedDeployment {
    pub(super) async fn open(
        registry: &Registry,
        caller: &Caller,
        name: DeploymentName,
        request: &pb::WatchDeploysRequest,
    ) -> Result<Self, Problem> {
        require(registry, caller, &name).await?;
        let pb::WatchDeploysRequest {
            parent: _,
            after_change,
            after_changes,
        } = request;
        let mut fields = Fields::new();
        if *after_change < 0 {
            fields.violation("after_change", NEGATIVE);
        }
        if !after_changes.is_empty() {
            fields.violation("after_changes", "is for a workspace: use after_change");
        }
        fields.finish()?;

        let found = registry.store.deployment(&name).await;
        let found = found.map_err(|error| About::deployment(&name).problem(error))?;
        let uid = found.ok_or_else(|| deployment_missing(&name))?.uid;
        // What cannot be gone on from is told at once.
        match registry.store.changes(uid, *after_change, 1).await {
            Ok(_) => {}
            Err(Error::ChangeAhead(count)) => {
                let mut fields = Fields::new();
                fields.violation("after_change", &ahead(count));
                return Err(fields.into_problem());
            }
            Err(error) => return Err(unreadable(&name, *after_change, error)),
        }
        Ok(Self {
            name,
            uid,
            last: *after_change,
        })
    }

    pub(super) async fn recheck(
        &self,
        registry: &Registry,
        caller: &Caller,
    ) -> Result<(), Problem> {
        require(registry, caller, &self.name).await
    }

    /// The changes that came since, if any.
    pub(super) async fn changes(
        &mut self,
        follower: &mut Follower,
    ) -> Result<pb::WatchDeploysResponse, Problem> {
        let Self { name, uid, last } = self;
        let standings = follower.standings(name.workspace());
        let count = standings.get(name).map_or(0, |standing| standing.count);
        let mut changes = Vec::new();
        if count > *last {
            let found = follower.changes(*uid, *last, count, MOST_AT_ONCE).await;
            changes = found.map_err(|error| unreadable(name, *last, error))?;
        }
        if let Some(newest) = changes.last() {
            *last = newest.change;
        }
        let changes = changes.iter().map(|change| encode::change(name, change));
        Ok(pb::WatchDeploysResponse {
            changes: changes.collect(),
            last_change: *last,
            last_changes: Default::default(),
        })
    }
}

async fn require(
    registry: &Registry,
    caller: &Caller,
    deployment: &DeploymentName,
) -> Result<(), Problem> {
    let freshness = Freshness::MinimizeLatency;
    access::require(registry, caller, deployment, NEEDED, freshness).await?;
    Ok(())
}
