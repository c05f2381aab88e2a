use model::Scope;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::domain::{Report, Verdict};

pub(super) const IMAGES: [char; 3] = ['a', 'b', 'c'];
pub(super) const BUNDLES: [char; 4] = ['1', '2', '3', '4'];

/// One thing that happens to a Deployment. Deploys and rollbacks are chosen among those that there are, and
/// sometimes among those that there are not.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Somebody brings a bundle.
    Upload(usize),
    Ship {
        image: Option<usize>,
        bundle: Option<usize>,
        /// Whether the caller believes in an older deploy than the latest.
        stale: bool,
    },
    Report(Index, Report),
    Mark(Index, Option<Verdict>),
    Pin(Index, bool),
    RollBack {
        target: Index,
        scope: Scope,
        allow_marked_bad: bool,
        stale: bool,
    },
    /// The write of a rollback that was sent before is sent again.
    RepeatRollback(Index),
    /// A rollback that was sent before, or never was, is closed.
    Close(Index),
    Sweep,
    /// Time passes.
    Wait(i64),
}

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// Deploys need bundles, and sweeps remove them only after a while, and only the second time: that is made
/// likely.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![Just(2 * DAY), Just(90 * DAY), Just(91 * DAY)];
    let sweeps = wait.prop_map(|seconds| {
        let grace = Step::Wait(5 * MINUTE);
        vec![Step::Wait(seconds), Step::Sweep, grace, Step::Sweep]
    });
    let steps = prop_oneof![
        12 => step().prop_map(|step| vec![step]),
        1 => sweeps,
    ];
    proptest::collection::vec(steps, 12..48).prop_map(|steps| {
        let bundles = (0..BUNDLES.len() - 1).map(Step::Upload);
        bundles.chain(steps.concat()).collect()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let image = proptest::option::of(0..IMAGES.len());
    let bundle = proptest::option::of(0..BUNDLES.len());
    let ship = (image, bundle, rarely()).prop_map(|(image, bundle, stale)| Step::Ship {
        image,
        bundle,
        stale,
    });
    let report = prop_oneof![
        1 => Just(Report::RollingOut),
        3 => Just(Report::Deployed),
        1 => Just(Report::Failed),
    ];
    let verdict = proptest::option::of(prop_oneof![Just(Verdict::Good), Just(Verdict::Bad)]);
    let scope = prop_oneof![Just(Scope::All), Just(Scope::Image), Just(Scope::Dags)];
    let roll_back = (any::<Index>(), scope, rarely(), rarely()).prop_map(
        |(target, scope, allow_marked_bad, stale)| Step::RollBack {
            target,
            scope,
            allow_marked_bad,
            stale,
        },
    );
    let wait = prop_oneof![Just(MINUTE), Just(5 * MINUTE), Just(DAY), Just(40 * DAY)];
    prop_oneof![
        4 => (0..BUNDLES.len()).prop_map(Step::Upload),
        8 => ship,
        5 => (any::<Index>(), report).prop_map(|(deploy, report)| Step::Report(deploy, report)),
        2 => (any::<Index>(), verdict).prop_map(|(deploy, verdict)| Step::Mark(deploy, verdict)),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(deploy, pin)| Step::Pin(deploy, pin)),
        8 => roll_back,
        1 => any::<Index>().prop_map(Step::RepeatRollback),
        1 => any::<Index>().prop_map(Step::Close),
        4 => Just(Step::Sweep),
        3 => wait.prop_map(Step::Wait),
    ]
}

fn rarely() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.15)
}
