//! What was asked and answered, and whether what is found after all the crashes fits to it.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::requests::deploy as deploy_name;

/// What a call was to do. No two calls are to do the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// The description says which deploy it is.
    Ship {
        deployment: String,
        description: String,
        part: Part,
    },
    Upload {
        bundle: String,
    },
    /// Of each cell one client writes the values, one after the other.
    Set {
        cell: Cell,
        value: String,
    },
}

/// What a deploy brings; the other part stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Its digest.
    Image(String),
    /// Its name.
    Bundle(String),
}

/// What has one value at a time. It is empty at first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cell {
    /// Why a deploy is bad.
    Mark(String),
    /// Whether a deploy is pinned.
    Pin(String),
    /// Why a Deployment is held.
    Hold(String),
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done; a deploy has this name.
    Done(String),
    /// It was refused, and is not done.
    Refused,
}

/// A call, and its answer if there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) work: Work,
    /// Empty where the work is not repeated, or can be repeated without.
    pub(super) request_id: String,
    pub(super) answer: Option<Answer>,
}

/// What a service says there is of each Deployment.
pub(super) type Found = BTreeMap<String, History>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct History {
    /// From the oldest to the newest.
    pub(super) deploys: Vec<Deploy>,
    /// The name of the latest deploy.
    pub(super) latest: String,
    pub(super) hold: String,
    /// How often it has changed.
    pub(super) change: i64,
    pub(super) changes: Vec<Change>,
    /// The names of those that can be downloaded, and are what was uploaded.
    pub(super) bundles: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deploy {
    pub(super) name: String,
    pub(super) description: String,
    /// Its digest.
    pub(super) image: String,
    /// Its name.
    pub(super) bundle: String,
    pub(super) mark: String,
    pub(super) pin: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) number: i64,
    pub(super) kind: Kind,
    /// Of the deploy; empty if it was the Deployment.
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    DeploymentCreated,
    DeployCreated,
    Marked,
    Pinned,
    HoldPlaced,
    HoldReleased,
}

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A call was answered, and what it did is not there.
    Lost(Call),
    /// A call was refused, and what it did is there.
    DoneThoughRefused(Call),
    /// A call has made more than one deploy.
    Doubled(Work),
    /// A deploy that no call has asked for, or not so.
    Unasked(Deploy),
    /// The deploys of a Deployment are not numbered one after the other, up to the latest.
    Numbers(String),
    /// A deploy from before is not what it was.
    Changed(String),
    /// A deploy needs a bundle that is not there.
    BundleGone(String),
    /// The values that were written do not lead to this one by so many changes.
    Value(Cell, String, usize),
    /// The changes of a Deployment have a gap, or do not lead to its history.
    Changes(String),
}

/// All that is wrong with what is found after these calls.
pub(super) fn flaws(before: &Found, calls: &[Call], after: &Found) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for (deployment, after) in after {
        let before = before[deployment].deploys.as_slice();
        flaws.extend(wrong_deploys(deployment, before, calls, after));
        if !lead_to_it(after) {
            flaws.push(Flaw::Changes(deployment.clone()));
        }
        flaws.extend(wrong_values(deployment, calls, after));
    }
    flaws.extend(calls.iter().filter_map(|call| wrong_outcome(call, after)));
    flaws
}

/// Whether each deploy was asked for, once and as it is, and stands on the one before it.
fn wrong_deploys(
    deployment: &str,
    before: &[Deploy],
    calls: &[Call],
    after: &History,
) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let numbered = (1..).map(|number| deploy_name(deployment, number));
    let names = after.deploys.iter().map(|deploy| &deploy.name);
    let last = after.deploys.last().map(|deploy| &deploy.name);
    if !names.eq(numbered
        .take(after.deploys.len())
        .collect::<Vec<_>>()
        .iter())
        || last != Some(&after.latest)
    {
        flaws.push(Flaw::Numbers(deployment.to_owned()));
    }
    let mut shipped = BTreeSet::new();
    for (index, deploy) in after.deploys.iter().enumerate() {
        if !after.bundles.contains(&deploy.bundle) {
            flaws.push(Flaw::BundleGone(deploy.name.clone()));
        }
        if let Some(before) = before.get(index) {
            if before != deploy {
                flaws.push(Flaw::Changed(deploy.name.clone()));
            }
            continue;
        }
        let work = index.checked_sub(1).and_then(|base| {
            let base = after.deploys.get(base)?;
            calls.iter().map(|call| &call.work).find(|work| {
                let Work::Ship {
                    deployment: to,
                    description,
                    part,
                } = work
                else {
                    return false;
                };
                let (image, bundle) = match part {
                    Part::Image(image) => (image, &base.bundle),
                    Part::Bundle(bundle) => (&base.image, bundle),
                };
                (to.as_str(), description) == (deployment, &deploy.description)
                    && (image, bundle) == (&deploy.image, &deploy.bundle)
            })
        });
        match work {
            None => flaws.push(Flaw::Unasked(deploy.clone())),
            Some(work) if !shipped.insert(work) => flaws.push(Flaw::Doubled(work.clone())),
            Some(_) => {}
        }
    }
    flaws
}

/// Whether the changes, one after the other, lead to the history.
fn lead_to_it(history: &History) -> bool {
    let numbers = history.changes.iter().map(|change| change.number);
    let created = of_kind(history, Kind::DeployCreated).map(|change| &change.name);
    let is_hold = |change: &&Change| matches!(change.kind, Kind::HoldPlaced | Kind::HoldReleased);
    let holds = history.changes.iter().filter(is_hold);
    let holds = holds.map(|change| change.kind).collect::<Vec<_>>();
    let released_twice = [Kind::HoldReleased; 2];
    let held = holds.last() == Some(&Kind::HoldPlaced);
    numbers.eq(1..=history.change)
        && created.eq(history.deploys.iter().map(|deploy| &deploy.name))
        && held != history.hold.is_empty()
        && holds.first() != Some(&Kind::HoldReleased)
        && !holds.windows(2).any(|pair| pair == released_twice)
}

fn of_kind(history: &History, kind: Kind) -> impl Iterator<Item = &Change> {
    let changes = history.changes.iter();
    changes.filter(move |change| change.kind == kind)
}

/// Whether each cell has a value, and was changed so often, as the calls can have led to.
fn wrong_values(deployment: &str, calls: &[Call], after: &History) -> Vec<Flaw> {
    let count = |kind, name: &str| {
        let changes = of_kind(after, kind);
        changes.filter(|change| change.name == name).count()
    };
    let holds = count(Kind::HoldPlaced, "") + count(Kind::HoldReleased, "");
    let hold = Cell::Hold(deployment.to_owned());
    let mut cells = vec![(hold, &after.hold, holds)];
    for Deploy {
        name, mark, pin, ..
    } in &after.deploys
    {
        let marks = count(Kind::Marked, name);
        cells.push((Cell::Mark(name.clone()), mark, marks));
        cells.push((Cell::Pin(name.clone()), pin, count(Kind::Pinned, name)));
    }
    let wrong = cells.into_iter().filter(|(cell, value, changes)| {
        let possible = possible(cell, calls);
        !possible.contains(&(value.as_str(), *changes))
    });
    wrong
        .map(|(cell, value, changes)| Flaw::Value(cell, value.clone(), changes))
        .collect()
}

/// All values that a cell can have, and by how many changes.
fn possible<'a>(cell: &Cell, calls: &'a [Call]) -> BTreeSet<(&'a str, usize)> {
    let mut possible = BTreeSet::from([("", 0)]);
    for call in calls {
        let Work::Set { cell: set, value } = &call.work else {
            continue;
        };
        if set != cell {
            continue;
        }
        let done = possible.iter().map(|(old, changes)| {
            let changed = usize::from(old != value);
            (value.as_str(), changes + changed)
        });
        let done = done.collect::<BTreeSet<_>>();
        match call.answer {
            Some(Answer::Done(_)) => possible = done,
            Some(Answer::Refused) => {}
            None => possible.extend(done),
        }
    }
    possible
}

/// Whether what a call was answered is so.
fn wrong_outcome(call: &Call, after: &Found) -> Option<Flaw> {
    let answer = call.answer.as_ref()?;
    let shipped = match &call.work {
        Work::Ship {
            deployment,
            description,
            part: _,
        } => after[deployment]
            .deploys
            .iter()
            .find(|deploy| deploy.description == *description),
        Work::Upload { bundle } => {
            let there = after.values().any(|found| found.bundles.contains(bundle));
            return (!there).then(|| Flaw::Lost(call.clone()));
        }
        // What is possible says it.
        Work::Set { cell: _, value: _ } => return None,
    };
    match answer {
        Answer::Done(name) if shipped.is_none_or(|deploy| deploy.name != *name) => {
            Some(Flaw::Lost(call.clone()))
        }
        Answer::Refused if shipped.is_some() => Some(Flaw::DoneThoughRefused(call.clone())),
        Answer::Done(_) | Answer::Refused => None,
    }
}
