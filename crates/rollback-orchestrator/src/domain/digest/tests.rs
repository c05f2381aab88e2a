mod plans;

use model::catalog::Catalog;
use model::names::DeployNumber;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::blocker::BlockerCode;
use crate::domain::plan::{Facts, Plan};
use crate::domain::samples::{between, facts, git, number, revision_on};
use crate::domain::warning::WarningCode;

fn digest(facts: Facts) -> PlanDigest {
    Plan::new(facts, &Catalog::built_in()).digest
}

fn blocker(code: BlockerCode) -> Blocker {
    Blocker {
        code,
        subject: "s".to_owned(),
        text: "t".to_owned(),
    }
}

/// A change of the facts.
type Edit = fn(&mut Facts);

#[test]
fn everything_that_is_covered_changes_the_digest() {
    let edits: &[(&str, Edit)] = &[
        ("uid", |f| {
            f.deployment.uid = DeploymentUid(Uuid::from_u128(8))
        }),
        ("latest", |f| f.deployment.latest = number(6)),
        ("current", |f| {
            f.deployment.current.as_mut().unwrap().number = number(4)
        }),
        ("target", |f| f.target.number = number(2)),
        ("scope", |f| f.scope = Scope::Image),
        ("hold", |f| f.options.hold = true),
        ("revision", |f| {
            f.preview.composed.as_mut().unwrap().digest = "other".to_owned()
        }),
        ("nothing composed", |f| f.preview.composed = None),
        ("blocker", |f| {
            f.preview.blockers.push(blocker(BlockerCode::TargetExpired))
        }),
        ("in progress", |f| {
            let name = format!("{}/rollbacks/{}", f.deployment.name, Uuid::from_u128(1));
            f.in_progress = Some(name.parse().unwrap());
        }),
        ("a warning", |f| {
            f.preview.composed.as_mut().unwrap().revision.runtime = "3.1-2".parse().ok();
            f.preview.composed.as_mut().unwrap().revision.airflow = None;
        }),
    ];
    let mut seen = vec![digest(facts())];
    for (what, edit) in edits {
        let mut facts = facts();
        edit(&mut facts);
        let digest = digest(facts);
        assert!(!seen.contains(&digest), "{what}");
        seen.push(digest);
    }
}

#[test]
fn what_is_not_covered_leaves_the_digest_alone() {
    let edits: &[(&str, Edit)] = &[
        ("caller", |f| {
            f.caller = "user:bob@example.com".parse().unwrap()
        }),
        ("permissions", |f| {
            f.held = model::permissions::PermissionSet::EMPTY
        }),
        ("settings", |f| {
            f.target
                .settings
                .insert("key".to_owned(), "value".to_owned());
        }),
        ("a mark that is not there may be", |f| {
            f.options.allow_marked_bad = true
        }),
        ("git", |f| f.target.git = Some(git('a'))),
        ("nobody looked behind", |f| f.left_behind = None),
        ("expiry", |f| {
            f.target.expire_time = Some(chrono::DateTime::UNIX_EPOCH)
        }),
    ];
    for (what, edit) in edits {
        let mut facts = facts();
        edit(&mut facts);
        assert_eq!(digest(facts), digest(self::facts()), "{what}");
    }
}

#[test]
fn migrations_and_their_certainty_are_covered() {
    // The registry's digest is the same in all of them, so that only the warnings differ.
    let of = |now, then| digest(between(revision_on(now), revision_on(then)));
    let lossless = of("3.1-9", "3.1-2");
    let certain = of("3.2-2", "3.1-9");
    let possible = of("3.1-17", "3.1-5");
    let more = of("3.3-1", "3.1-9");
    let all = [lossless, certain, possible, more];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[index + 1..].contains(one));
    }
    assert_eq!(certain, of("3.2-1", "3.1-9"));
}

/// Whoever kept a digest must be able to use it after an upgrade that changes no rule.
#[test]
fn the_digest_of_one_plan_is_known() {
    assert_eq!(
        digest(facts()).to_string(),
        "19274750a0e59b5cd7271d46e33ccde5376bc37d3d84ee9c29ec26a573143df3"
    );
}

fn warnings() -> impl Strategy<Value = Vec<Warning>> {
    let codes = prop::sample::subsequence(WarningCode::ALL.to_vec(), 0..=WarningCode::ALL.len());
    codes.prop_map(|codes| {
        let warning = |code| Warning {
            code,
            severity: crate::domain::warning::Severity::Info,
            text: String::new(),
            migrations: None,
        };
        codes.into_iter().map(warning).collect()
    })
}

fn blockers() -> impl Strategy<Value = Vec<Blocker>> {
    let codes = prop::sample::subsequence(BlockerCode::ALL.to_vec(), 0..=BlockerCode::ALL.len());
    codes.prop_map(|codes| codes.into_iter().map(blocker).collect())
}

#[derive(Clone, Debug)]
struct Covered {
    uid: u128,
    latest: i64,
    current: Option<i64>,
    target: i64,
    scope: Scope,
    hold: bool,
    revision: Option<String>,
    blockers: Vec<Blocker>,
    warnings: Vec<Warning>,
}

impl Covered {
    fn digest(&self) -> PlanDigest {
        PlanDigest::of(
            DeploymentUid(Uuid::from_u128(self.uid)),
            number(self.latest),
            self.current.map(number),
            number(self.target),
            self.scope,
            self.hold,
            self.revision.as_deref(),
            &self.blockers,
            &self.warnings,
        )
    }

    /// What of it counts.
    fn counts(&self) -> impl PartialEq + use<> {
        let codes = self
            .blockers
            .iter()
            .map(|blocker| blocker.code)
            .collect::<Vec<_>>();
        let must = self.warnings.iter().map(|warning| warning.code);
        let must = must
            .filter(|code| code.must_acknowledge())
            .collect::<Vec<_>>();
        let current = self.current.map_or(DeployNumber::NONE, number);
        let part = (self.scope, self.hold);
        let of = (self.uid, self.latest, current, self.target, part);
        (of, self.revision.clone(), codes, must)
    }
}

/// Small ranges, so that equal ones come up.
fn covered() -> impl Strategy<Value = Covered> {
    let part = (prop::sample::select(Scope::ALL.to_vec()), any::<bool>());
    let revision = prop::option::of("[ab]{1,2}");
    let ids = (0_u128..2, 1_i64..3, prop::option::of(1_i64..3), 1_i64..3);
    (ids, part, revision, blockers(), warnings()).prop_map(
        |((uid, latest, current, target), (scope, hold), revision, blockers, warnings)| Covered {
            uid,
            latest,
            current,
            target,
            scope,
            hold,
            revision,
            blockers,
            warnings,
        },
    )
}

proptest! {
    #[test]
    fn two_plans_have_one_digest_exactly_if_all_that_is_covered_is_equal(
        one in covered(),
        other in covered(),
        same in 0_u8..2,
    ) {
        // Without help two of them are hardly ever equal.
        let other = if same == 0 {
            Covered { warnings: other.warnings, ..one.clone() }
        } else {
            other
        };
        prop_assert_eq!(one.digest() == other.digest(), one.counts() == other.counts());
    }

    #[test]
    fn order_and_repetition_do_not_count(mut covered in covered()) {
        let digest = covered.digest();
        covered.blockers.reverse();
        covered.warnings.reverse();
        covered.blockers.extend(covered.blockers.clone());
        covered.warnings.extend(covered.warnings.clone());
        prop_assert_eq!(covered.digest(), digest);
    }
}
