//! The digest of whole plans: what changes it, and what does not.

use std::collections::BTreeMap;

use model::permissions::{Permission, PermissionSet};

use super::*;
use crate::domain::agents::Agents;
use crate::domain::history::DeployBetween;
use crate::domain::samples::{agent, between_deploy};

/// Everything that a plan tells and its digest does not cover.
#[derive(Clone, Debug)]
struct Noise {
    caller: String,
    held: Vec<Permission>,
    settings: (BTreeMap<String, String>, BTreeMap<String, String>),
    git: bool,
    expire_seconds: Option<u32>,
    left_behind: Option<Vec<DeployBetween>>,
    /// Running, queued and deferred tasks of agents that fit.
    agents: Option<Vec<(i64, i64, i64)>>,
    /// Where no target is marked.
    allow_marked_bad: bool,
    text: String,
    reversed: bool,
}

impl Noise {
    fn add(self, facts: &mut Facts) {
        let Self {
            caller,
            held,
            settings,
            git,
            expire_seconds,
            left_behind,
            agents,
            allow_marked_bad,
            text,
            reversed,
        } = self;
        facts.options.allow_marked_bad = allow_marked_bad;
        facts.caller = format!("user:{caller}").parse().unwrap();
        facts.held = PermissionSet::of(&held);
        (facts.target.settings, facts.deployment.settings) = settings;
        facts.target.git = git.then(|| super::git('a'));
        facts.target.expire_time =
            expire_seconds.and_then(|at| chrono::DateTime::from_timestamp(at.into(), 0));
        facts.left_behind = left_behind;
        facts.agents = agents.map(|counts| Agents {
            reports: counts
                .into_iter()
                .map(|(running, queued, deferred)| crate::domain::agents::Agent {
                    running,
                    queued,
                    deferred,
                    ..agent("a", "5.0.0")
                })
                .collect(),
            more: reversed,
        });
        for blocker in &mut facts.preview.blockers {
            blocker.text.push_str(&text);
            blocker.subject.push_str(&text);
        }
        if reversed {
            facts.preview.blockers.reverse();
        }
    }
}

fn noise() -> impl Strategy<Value = Noise> {
    let settings = || prop::collection::btree_map("[a-c]", "[a-c]", 0..3);
    let held = prop::sample::subsequence(
        vec![
            Permission::DeploymentImagesPush,
            Permission::DeploymentDagsPush,
            Permission::DeploymentVariablesGet,
        ],
        0..=3,
    );
    let between = (1_i64..6, any::<bool>())
        .prop_map(|(number, from_git)| between_deploy(number, from_git.then(|| git('b'))));
    let tasks = || 0_i64..i64::MAX;
    let agents = prop::collection::vec((tasks(), tasks(), tasks()), 0..4);
    (
        (r"[a-z]{1,8}@example\.com", held, (settings(), settings())),
        (any::<bool>(), prop::option::of(any::<u32>())),
        prop::option::of(prop::collection::vec(between, 0..4)),
        prop::option::of(agents),
        (any::<bool>(), "[a-z ]{0,20}", any::<bool>()),
    )
        .prop_map(
            |(
                (caller, held, settings),
                (git, expire_seconds),
                left_behind,
                agents,
                (allow_marked_bad, text, reversed),
            )| Noise {
                caller,
                held,
                settings,
                git,
                expire_seconds,
                left_behind,
                agents,
                allow_marked_bad,
                text,
                reversed,
            },
        )
}

/// Everything that the digest covers, as far as facts say it.
#[derive(Clone, Debug, PartialEq)]
struct Meant {
    uid: u128,
    latest: i64,
    current: i64,
    target: i64,
    scope: Scope,
    hold: bool,
    revision: Option<String>,
    /// Without those of versions.
    blockers: Vec<BlockerCode>,
    in_progress: bool,
    agent_too_new: bool,
    then: &'static str,
}

impl Meant {
    fn facts(&self) -> Facts {
        let mut facts = between(revision_on("3.1-9"), revision_on(self.then));
        facts.deployment.uid = DeploymentUid(Uuid::from_u128(self.uid));
        facts.deployment.latest = number(self.latest);
        facts.deployment.current.as_mut().unwrap().number = number(self.current);
        facts.target.number = number(self.target);
        facts.scope = self.scope;
        facts.options.hold = self.hold;
        match &self.revision {
            Some(digest) => facts.preview.composed.as_mut().unwrap().digest = digest.clone(),
            None => facts.preview.composed = None,
        }
        facts.preview.blockers = self.blockers.iter().copied().map(blocker).collect();
        if self.in_progress {
            let name = format!("{}/rollbacks/{}", facts.deployment.name, Uuid::from_u128(1));
            facts.in_progress = Some(name.parse().unwrap());
        }
        facts
    }

    /// The digest of the plan, with what it does not cover.
    fn digest(&self, noise: Noise) -> PlanDigest {
        let mut facts = self.facts();
        noise.add(&mut facts);
        if self.agent_too_new {
            let agents = facts.agents.get_or_insert(Agents {
                reports: Vec::new(),
                more: false,
            });
            agents.reports.push(agent("z", "3.3-8"));
        }
        digest(facts)
    }

    /// Where nothing is composed, versions and agents say nothing.
    fn counts(mut self) -> Self {
        if self.revision.is_none() {
            (self.agent_too_new, self.then) = (false, "");
        }
        self
    }
}

fn meant() -> impl Strategy<Value = Meant> {
    let blockers = prop::sample::subsequence(
        vec![BlockerCode::TargetExpired, BlockerCode::ArtifactMissing],
        0..=2,
    );
    (
        (0_u128..2, 5_i64..7, 4_i64..6, 1_i64..3),
        (prop::sample::select(Scope::ALL.to_vec()), any::<bool>()),
        prop::option::weighted(0.8, "[ab]"),
        blockers,
        (any::<bool>(), any::<bool>()),
        // Nothing, a downgrade, and one that loses data: each other blockers or warnings.
        prop::sample::select(vec!["3.1-9", "3.1-2", "13.0.0", "11.7.0", "99.0.0"]),
    )
        .prop_map(
            |((uid, latest, current, target), (scope, hold), revision, blockers, flags, then)| {
                Meant {
                    uid,
                    latest,
                    current,
                    target,
                    scope,
                    hold,
                    revision,
                    blockers,
                    in_progress: flags.0,
                    agent_too_new: flags.1,
                    then,
                }
            },
        )
}

/// Another one in exactly one thing.
fn changed(meant: &Meant, which: usize) -> Meant {
    let mut other = meant.clone();
    match which {
        0 => other.uid += 1,
        1 => other.latest += 10,
        2 => other.current += 10,
        3 => other.target += 10,
        4 => {
            let another = Scope::ALL.iter().find(|scope| **scope != other.scope);
            other.scope = *another.unwrap();
        }
        5 => other.revision = Some("c".to_owned()),
        6 => other.blockers.push(BlockerCode::TargetMarkedBad),
        7 => other.in_progress = !other.in_progress,
        8 => other.agent_too_new = !other.agent_too_new,
        9 => other.hold = !other.hold,
        _ => other.then = "3.1-5",
    }
    other
}

proptest! {
    #[test]
    fn what_is_not_covered_never_changes_the_digest(
        meant in meant(),
        one in noise(),
        other in noise(),
    ) {
        prop_assert_eq!(meant.digest(one), meant.digest(other));
    }

    #[test]
    fn one_thing_that_is_covered_always_changes_the_digest(
        meant in meant(),
        which in 0_usize..11,
        noise in noise(),
    ) {
        let other = changed(&meant, which);
        // Whether a version goes down to 3.1-2 or 3.1-5 is in the revision's digest alone.
        prop_assume!(which != 10 || !["3.1-2", "3.1-5"].contains(&meant.then));
        let changes = meant.clone().counts() != other.clone().counts();
        prop_assert_eq!(meant.digest(noise.clone()) != other.digest(noise), changes);
    }
}
