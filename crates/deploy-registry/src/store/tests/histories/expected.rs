use std::collections::{BTreeMap, BTreeSet};

use model::{DeployState, Scope};
use proptest::sample::Index;

use super::steps::Step;
use crate::domain::{BlockerCode, Delivery, Report, Verdict};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The deploy of a rollback, old or new.
    Written(i64),
    Closed,
    Refused(Refused),
    /// By the codes of the blockers.
    Blocked(BTreeSet<String>),
    Swept {
        removed: BTreeSet<usize>,
        marked: BTreeSet<usize>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    DeployMissing,
    LatestDeployChanged,
    FirstNeedsImage,
    BundleMissing,
    ReportsNotTaken,
    StateFinal,
    RollbackClosed,
    PermitMismatch,
}

/// What runs after a deploy: its image and its bundle.
pub(super) type Runs = (usize, Option<usize>);

/// A deploy as the model has it.
#[derive(Clone, Debug)]
pub(super) struct Deployed {
    pub(super) runs: Runs,
    pub(super) state: DeployState,
    pub(super) verdict: Option<Verdict>,
    pub(super) pinned: bool,
    pub(super) source: Option<i64>,
    created: i64,
    ceased: Option<i64>,
}

/// A rollback that was sent, and what became of it.
#[derive(Clone, Debug)]
struct Sent {
    target: i64,
    scope: Scope,
    allow_marked_bad: bool,
    expected_latest: i64,
    /// What its permit is for.
    permitted: Option<Runs>,
    fate: Fate,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Open,
    Written(i64),
    Closed,
}

/// A bundle that is there: when it was brought last, and when a sweep marked it.
#[derive(Clone, Copy, Debug)]
struct Kept {
    used: i64,
    marked: Option<i64>,
}

/// A Deployment in the mode DAG_ONLY, with its whole history in memory.
pub(super) struct Model {
    delivery: Delivery,
    now: i64,
    pub(super) deploys: Vec<Deployed>,
    pub(super) current: i64,
    pub(super) previous: i64,
    bundles: BTreeMap<usize, Kept>,
    sent: Vec<Sent>,
}

impl Model {
    pub(super) const fn new(delivery: Delivery) -> Self {
        Self {
            delivery,
            now: 0,
            deploys: Vec::new(),
            current: 0,
            previous: 0,
            bundles: BTreeMap::new(),
            sent: Vec::new(),
        }
    }

    pub(super) fn latest(&self) -> i64 {
        i64::try_from(self.deploys.len()).unwrap()
    }

    pub(super) fn has(&self, bundle: usize) -> bool {
        self.bundles.contains_key(&bundle)
    }

    pub(super) fn take(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Upload(bundle) => {
                let kept = Kept {
                    used: self.now,
                    marked: None,
                };
                self.bundles.insert(*bundle, kept);
                Outcome::Done
            }
            Step::Ship {
                image,
                bundle,
                stale,
            } => self.ship(*image, *bundle, *stale),
            Step::Report(deploy, report) => self.report(deploy, *report),
            Step::Mark(deploy, verdict) => match self.chosen(deploy) {
                Some(number) => {
                    self.deploy_mut(number).verdict = *verdict;
                    Outcome::Done
                }
                None => Outcome::Refused(Refused::DeployMissing),
            },
            Step::Pin(deploy, pinned) => match self.chosen(deploy) {
                Some(number) => {
                    self.deploy_mut(number).pinned = *pinned;
                    Outcome::Done
                }
                None => Outcome::Refused(Refused::DeployMissing),
            },
            Step::RollBack {
                target,
                scope,
                allow_marked_bad,
                stale,
            } => {
                let Some(target) = self.chosen(target) else {
                    return Outcome::Refused(Refused::DeployMissing);
                };
                self.sent.push(Sent {
                    target,
                    scope: *scope,
                    allow_marked_bad: *allow_marked_bad,
                    expected_latest: self.latest() + i64::from(*stale),
                    permitted: self.composed(target, *scope),
                    fate: Fate::Open,
                });
                self.write(self.sent.len() - 1)
            }
            Step::RepeatRollback(which) => match self.sent.len() {
                0 => Outcome::Done,
                sent => self.write(which.index(sent)),
            },
            Step::Close(which) => self.close(which),
            Step::Sweep => self.sweep(),
            Step::Wait(seconds) => {
                self.now += seconds;
                Outcome::Done
            }
        }
    }

    fn ship(&mut self, image: Option<usize>, bundle: Option<usize>, stale: bool) -> Outcome {
        if stale {
            return Outcome::Refused(Refused::LatestDeployChanged);
        }
        let latest = self.latest();
        let inherited = [latest, self.current].into_iter().find(|number| {
            *number > 0
                && !matches!(
                    self.deploy(*number).state,
                    DeployState::Failed | DeployState::Superseded
                )
        });
        let inherited = inherited.map(|number| self.deploy(number).runs);
        // What ships nothing is no call that the store is asked for.
        let image = image.or(bundle.is_none().then_some(0));
        let Some(image) = image.or(inherited.map(|(image, _)| image)) else {
            return Outcome::Refused(Refused::FirstNeedsImage);
        };
        if bundle.is_some_and(|bundle| !self.has(bundle)) {
            return Outcome::Refused(Refused::BundleMissing);
        }
        let bundle = bundle.or(inherited.and_then(|(_, bundle)| bundle));
        self.add((image, bundle), None);
        Outcome::Done
    }

    /// The next deploy: done at once, or still to be shipped.
    fn add(&mut self, runs: Runs, source: Option<i64>) {
        if let Some(before) = self.deploys.last_mut()
            && matches!(before.state, DeployState::Pending | DeployState::RollingOut)
        {
            before.state = DeployState::Superseded;
        }
        self.deploys.push(Deployed {
            runs,
            state: DeployState::Pending,
            verdict: None,
            pinned: false,
            source,
            created: self.now,
            ceased: None,
        });
        match self.delivery {
            Delivery::Record => self.run(self.latest()),
            Delivery::Agent => {}
        }
    }

    /// A deploy runs from now on.
    fn run(&mut self, number: i64) {
        self.deploy_mut(number).state = DeployState::Deployed;
        if self.current > 0 {
            let now = self.now;
            self.deploy_mut(self.current).ceased = Some(now);
        }
        self.previous = self.current;
        self.current = number;
    }

    fn report(&mut self, deploy: &Index, report: Report) -> Outcome {
        let Some(number) = self.chosen(deploy) else {
            return Outcome::Refused(Refused::DeployMissing);
        };
        match self.delivery {
            Delivery::Record => return Outcome::Refused(Refused::ReportsNotTaken),
            Delivery::Agent => {}
        }
        match (self.deploy(number).state, report) {
            (DeployState::Deployed, Report::Deployed)
            | (DeployState::Failed, Report::Failed)
            | (DeployState::RollingOut, Report::RollingOut) => {}
            (DeployState::Pending | DeployState::RollingOut, Report::Deployed) => self.run(number),
            (DeployState::Pending | DeployState::RollingOut, Report::Failed) => {
                self.deploy_mut(number).state = DeployState::Failed;
            }
            (DeployState::Pending, Report::RollingOut) => {
                self.deploy_mut(number).state = DeployState::RollingOut;
            }
            (DeployState::Deployed | DeployState::Failed | DeployState::Superseded, _) => {
                return Outcome::Refused(Refused::StateFinal);
            }
        }
        Outcome::Done
    }

    /// What would run after a rollback.
    fn composed(&self, target: i64, scope: Scope) -> Option<Runs> {
        if self.current == 0 {
            return None;
        }
        let (image, bundle) = self.deploy(target).runs;
        let (image_now, bundle_now) = self.deploy(self.current).runs;
        Some(match scope {
            Scope::All => (image, bundle),
            Scope::Image => (image, bundle_now),
            Scope::Dags => (image_now, bundle),
        })
    }

    fn write(&mut self, which: usize) -> Outcome {
        let sent = self.sent[which].clone();
        match sent.fate {
            Fate::Written(number) => return Outcome::Written(number),
            Fate::Closed => return Outcome::Refused(Refused::RollbackClosed),
            Fate::Open => {}
        }
        if sent.expected_latest != self.latest() {
            return Outcome::Refused(Refused::LatestDeployChanged);
        }
        let composed = self.composed(sent.target, sent.scope);
        let blockers = self.blockers(&sent, composed);
        let Some(runs) = composed.filter(|_| blockers.is_empty()) else {
            return Outcome::Blocked(blockers);
        };
        if sent.permitted != composed {
            return Outcome::Refused(Refused::PermitMismatch);
        }
        self.add(runs, Some(sent.target));
        let number = self.latest();
        self.sent[which].fate = Fate::Written(number);
        Outcome::Written(number)
    }

    fn blockers(&self, sent: &Sent, composed: Option<Runs>) -> BTreeSet<String> {
        let target = self.deploy(sent.target);
        let mut blockers = BTreeSet::new();
        let mut block = |holds: bool, code: BlockerCode| {
            if holds {
                blockers.insert(format!("{code:?}"));
            }
        };
        block(self.current == 0, BlockerCode::NothingDeployed);
        block(sent.target == self.current, BlockerCode::TargetIsCurrent);
        block(
            target.state != DeployState::Deployed,
            BlockerCode::TargetNotDeployed,
        );
        block(self.has_expired(sent.target), BlockerCode::TargetExpired);
        block(
            target.verdict == Some(Verdict::Bad) && !sent.allow_marked_bad,
            BlockerCode::TargetMarkedBad,
        );
        if let Some((image, bundle)) = composed {
            let now = self.deploy(self.current).runs;
            block((image, bundle) == now, BlockerCode::NoChange);
            let gone = bundle.is_some_and(|bundle| !self.has(bundle));
            block(gone, BlockerCode::ArtifactMissing);
        }
        blockers
    }

    /// Whether a deploy has stopped being a target.
    fn has_expired(&self, number: i64) -> bool {
        let deploy = self.deploy(number);
        let stays = number == self.current || number == self.previous || deploy.pinned;
        !stays && deploy.ceased.unwrap_or(deploy.created) + 90 * DAY <= self.now
    }

    fn close(&mut self, which: &Index) -> Outcome {
        // The last of them stands for a rollback that was never sent.
        let which = which.index(self.sent.len() + 1);
        let Some(sent) = self.sent.get_mut(which) else {
            return Outcome::Closed;
        };
        match sent.fate {
            Fate::Written(number) => Outcome::Written(number),
            Fate::Open | Fate::Closed => {
                sent.fate = Fate::Closed;
                Outcome::Closed
            }
        }
    }

    fn sweep(&mut self) -> Outcome {
        let needed = self.needed();
        let now = self.now;
        let (mut removed, mut marked) = (BTreeSet::new(), BTreeSet::new());
        for (bundle, kept) in &mut self.bundles {
            let in_use = needed.contains(bundle) || kept.used > now - DAY;
            match kept.marked {
                _ if in_use => kept.marked = None,
                None => {
                    kept.marked = Some(now);
                    marked.insert(*bundle);
                }
                Some(since) if now - since >= 5 * MINUTE => {
                    removed.insert(*bundle);
                }
                Some(_) => {}
            }
        }
        self.bundles.retain(|bundle, _| !removed.contains(bundle));
        Outcome::Swept { removed, marked }
    }

    /// The bundles of all deploys that can be a target of a rollback, or be inherited from.
    fn needed(&self) -> BTreeSet<usize> {
        let latest = self.latest();
        let numbers = (1..=latest).filter(|number| *number == latest || !self.has_expired(*number));
        numbers
            .filter_map(|number| self.deploy(number).runs.1)
            .collect()
    }

    pub(super) fn deploy(&self, number: i64) -> &Deployed {
        &self.deploys[usize::try_from(number - 1).unwrap()]
    }

    fn deploy_mut(&mut self, number: i64) -> &mut Deployed {
        &mut self.deploys[usize::try_from(number - 1).unwrap()]
    }

    /// One of the deploys, or none: sometimes, and always where there are none.
    fn chosen(&self, deploy: &Index) -> Option<i64> {
        Some(number_chosen(deploy, self.latest())).filter(|number| *number <= self.latest())
    }
}

/// One of the numbers up to that of the next deploy, which does not exist.
pub(super) fn number_chosen(deploy: &Index, latest: i64) -> i64 {
    let next = usize::try_from(latest + 1).unwrap();
    i64::try_from(deploy.index(next)).unwrap() + 1
}
