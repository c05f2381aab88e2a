use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::Caller;
use chassis::problem::Problem;
use model::{DeploymentName, ResourceName, WorkspaceName};
use proto::registry::v1 as pb;

use super::{NEEDED, NEGATIVE, ahead, trimmed, unreadable};
use crate::api::{Registry, encode, errors};
use crate::domain::{DeploymentUid, Standing};
use crate::feed::{Follower, MOST_AT_ONCE, Standings};
use crate::store::KeptChanges;

/// How many Deployments a request may name.
const MOST_NAMED: usize = 10_000;
/// How many changes of a Deployment a message has at least, if there are so many: where many Deployments
/// have changed, they take turns from message to message.
const LEAST_SHARE: usize = 16;

/// All Deployments of a workspace that the caller may see.
pub(super) struct WatchedWorkspace {
    name: WorkspaceName,
    /// The last change of each Deployment that was told, or that the caller knew; 0 unless it is here.
    positions: HashMap<DeploymentUid, i64>,
    /// Which Deployments the caller may see, of those that were asked about since the last recheck.
    seen: HashMap<DeploymentUid, bool>,
    /// The Deployment that had the last turn.
    turn: Option<DeploymentName>,
    /// Where the histories stood when there was nothing to tell.
    quiet: Option<Standings>,
}

/// A Deployment that has changes to tell.
struct Pending {
    name: DeploymentName,
    uid: DeploymentUid,
    last: i64,
    count: i64,
}

impl WatchedWorkspace {
    pub(super) async fn open(
        registry: &Registry,
        caller: &Caller,
        name: WorkspaceName,
        request: pb::WatchDeploysRequest,
    ) -> Result<Self, Problem> {
        let named = decode(&name, request)?;
        let kept = registry.store.kept_changes(&name).await;
        let kept = kept.map_err(errors::unexpected)?;
        let positions = positions(registry, caller, named, kept).await?;
        Ok(Self {
            name,
            positions,
            seen: HashMap::new(),
            turn: None,
            quiet: None,
        })
    }

    /// Has permission asked for again, wherever something is to be told.
    pub(super) async fn recheck(
        &mut self,
        registry: &Registry,
        caller: &Caller,
    ) -> Result<(), Problem> {
        self.seen.clear();
        self.quiet = None;
        // A token that was revoked shows even where nothing changes.
        let name = ResourceName::from(self.name.clone());
        visible(registry, caller, &[name]).await?;
        Ok(())
    }

    /// The changes that came since, if any.
    pub(super) async fn changes(
        &mut self,
        registry: &Registry,
        caller: &Caller,
        follower: &mut Follower,
    ) -> Result<pb::WatchDeploysResponse, Problem> {
        let mut message = pb::WatchDeploysResponse::default();
        let standings = follower.standings(&self.name);
        let quiet = self.quiet.as_ref();
        if quiet.is_some_and(|quiet| Arc::ptr_eq(quiet, &standings)) {
            return Ok(message);
        }
        let mut pending = self.pending(&standings);
        self.ask(registry, caller, &pending).await?;
        pending.retain(|pending| self.seen.get(&pending.uid) == Some(&true));
        if pending.is_empty() {
            self.quiet = Some(standings);
            return Ok(message);
        }

        let share = (MOST_AT_ONCE / pending.len()).max(LEAST_SHARE);
        for Pending {
            name,
            uid,
            last,
            count,
        } in pending
        {
            let most = share.min(MOST_AT_ONCE - message.changes.len());
            if most == 0 {
                break;
            }
            let changes = follower.changes(uid, last, count, most).await;
            let changes = changes.map_err(|error| unreadable(&name, last, error))?;
            if let Some(newest) = changes.last() {
                self.positions.insert(uid, newest.change);
                message.last_changes.insert(name.to_string(), newest.change);
            }
            let changes = changes.iter().map(|change| encode::change(&name, change));
            message.changes.extend(changes);
            self.turn = Some(name);
        }
        Ok(message)
    }

    /// The Deployments that have changes to tell, beginning after the one that had the last turn.
    fn pending(&self, standings: &Standings) -> Vec<Pending> {
        let (after, up_to) = match &self.turn {
            None => (standings.range::<DeploymentName, _>(..), None),
            Some(turn) => (
                standings.range((Bound::Excluded(turn), Bound::Unbounded)),
                Some(standings.range(..=turn)),
            ),
        };
        let all = after.chain(up_to.into_iter().flatten());
        let pending = all.filter_map(|(name, Standing { uid, count })| {
            let last = self.positions.get(uid).copied().unwrap_or(0);
            (*count > last).then(|| Pending {
                name: name.clone(),
                uid: *uid,
                last,
                count: *count,
            })
        });
        pending.collect()
    }

    /// Asks which of these the caller may see, unless that is known.
    async fn ask(
        &mut self,
        registry: &Registry,
        caller: &Caller,
        pending: &[Pending],
    ) -> Result<(), Problem> {
        let unknown = pending
            .iter()
            .filter(|pending| !self.seen.contains_key(&pending.uid));
        let unknown =
            unknown.map(|pending| (pending.uid, ResourceName::from(pending.name.clone())));
        let (uids, names): (Vec<_>, Vec<_>) = unknown.unzip();
        if !names.is_empty() {
            let visible = visible(registry, caller, &names).await?;
            self.seen.extend(uids.into_iter().zip(visible));
        }
        Ok(())
    }
}

/// Reads the positions that a request names.
fn decode(
    workspace: &WorkspaceName,
    request: pb::WatchDeploysRequest,
) -> Result<HashMap<DeploymentName, i64>, Problem> {
    const FIELD: &str = "after_changes";

    let pb::WatchDeploysRequest {
        parent: _,
        after_change,
        after_changes,
    } = request;
    let mut fields = Fields::new();
    if after_change != 0 {
        fields.violation("after_change", "is for one Deployment: use after_changes");
    }
    if after_changes.len() > MOST_NAMED {
        let description = format!("must have at most {MOST_NAMED} entries");
        fields.violation(FIELD, &description);
        return Err(fields.into_problem());
    }
    let mut named = HashMap::new();
    let mut strange = false;
    for (name, after) in after_changes {
        let name = name.parse::<DeploymentName>();
        match name.ok().filter(|name| name.workspace() == workspace) {
            None => strange = true,
            Some(name) if after < 0 => fields.violation(&entry(&name), NEGATIVE),
            Some(name) => {
                named.insert(name, after);
            }
        }
    }
    if strange {
        let description = format!("every key must be the name of a Deployment of {workspace}");
        fields.violation(FIELD, &description);
    }
    fields.finish()?;
    Ok(named)
}

/// Where to go on in each history. What cannot be gone on from is told at once, if the caller may see the
/// Deployment; if not, a position that is none counts as if it were not named.
async fn positions(
    registry: &Registry,
    caller: &Caller,
    named: HashMap<DeploymentName, i64>,
    kept: Vec<KeptChanges>,
) -> Result<HashMap<DeploymentUid, i64>, Problem> {
    let mut positions = HashMap::new();
    let mut doubtful = Vec::new();
    for kept in kept {
        let after = named.get(&kept.name).copied().unwrap_or(0);
        if after > 0 && after <= kept.count {
            positions.insert(kept.uid, after);
        }
        if after > kept.count || kept.lacks_some_after(after) {
            doubtful.push((kept, after));
        }
    }
    let names = doubtful.iter();
    let names = names.map(|(kept, _)| ResourceName::from(kept.name.clone()));
    let visible = visible(registry, caller, &names.collect::<Vec<_>>()).await?;

    let mut fields = Fields::new();
    let mut first_trimmed = None;
    for ((kept, after), visible) in doubtful.into_iter().zip(visible) {
        if visible && after > kept.count {
            fields.violation(&entry(&kept.name), &ahead(kept.count));
        } else if visible && first_trimmed.is_none() {
            first_trimmed = Some(trimmed(&kept.name, after));
        }
    }
    fields.finish()?;
    first_trimmed.map_or(Ok(positions), Err)
}

/// Which of these the caller may watch.
async fn visible(
    registry: &Registry,
    caller: &Caller,
    names: &[ResourceName],
) -> Result<Vec<bool>, Problem> {
    let freshness = Freshness::MinimizeLatency;
    let held = registry
        .access
        .held_on_each(caller, names, NEEDED, freshness)
        .await?;
    Ok(held
        .into_iter()
        .map(|held| NEEDED.is_subset(held))
        .collect())
}

fn entry(name: &DeploymentName) -> String {
    format!("after_changes[{name}]")
}
