use model::{DagDeployMode, RollbackId};
use uuid::Uuid;

use super::*;
use crate::domain::deploy::tests::deploy;
use crate::domain::revision::tests::{bundle, image_only};
use crate::domain::{Mark, PermitId};

/// A history that a case tells, step by step.
#[derive(Default)]
struct Told(Vec<Deploy>);

impl Told {
    /// Somebody ships an image and DAGs.
    fn ship(self, image: char, dags: char) -> Self {
        let revision = Revision {
            dag_bundle: Some(bundle(dags)),
            ..image_only(DagDeployMode::DagOnly, image, "3.1-9")
        };
        self.then(revision, None)
    }

    /// Somebody rolls the scope back to a deploy.
    fn roll_back(self, scope: Scope, source: i64) -> Self {
        let current = self.current().clone();
        let target = self.0[usize::try_from(source).unwrap() - 1]
            .revision
            .clone();
        let revision = match scope {
            Scope::All => target,
            Scope::Image => Revision {
                image: target.image,
                runs_on: target.runs_on,
                ..current.revision
            },
            Scope::Dags => Revision {
                dag_bundle: target.dag_bundle,
                dbt: target.dbt,
                ..current.revision
            },
        };
        let origin = RollbackOrigin {
            source: DeployNumber::new(source).unwrap(),
            replaced: current.name.number(),
            scope,
            rollback: RollbackId::new(Uuid::from_u128(1)),
            permit: PermitId::new(Uuid::from_u128(2)),
        };
        self.then(revision, Some(origin))
    }

    fn then(mut self, revision: Revision, rollback: Option<RollbackOrigin>) -> Self {
        let number = i64::try_from(self.0.len()).unwrap() + 1;
        self.0.push(Deploy {
            revision,
            rollback,
            ..deploy(number)
        });
        self
    }

    /// The last deploy ended in another state.
    fn but(mut self, state: DeployState) -> Self {
        self.0.last_mut().unwrap().state = state;
        self
    }

    /// The last deploy is marked.
    fn mark(mut self, verdict: Verdict) -> Self {
        let deploy = self.0.last_mut().unwrap();
        deploy.mark = Some(Mark {
            verdict,
            reason: "it loses rows".to_owned(),
            by: deploy.created_by.clone(),
            time: deploy.create_time,
        });
        self
    }

    /// The last deploy also has this done to it.
    fn with(mut self, change: impl Fn(&mut Revision)) -> Self {
        change(&mut self.0.last_mut().unwrap().revision);
        self
    }

    fn current(&self) -> &Deploy {
        let deployed = |deploy: &&Deploy| deploy.state == DeployState::Deployed;
        self.0.iter().rev().find(deployed).unwrap()
    }

    /// The number of the last known good deploy; 0 for none.
    fn previous(&self, scope: Scope) -> i64 {
        let current = self.current();
        let mut search = Search::new(scope, current.revision.clone());
        let mut next = current.name.number().get();
        while let Some(deploy) = usize::try_from(next - 1).ok().map(|index| &self.0[index]) {
            next = match search.look(deploy) {
                Look::Found => return next,
                Look::Below => next - 1,
                Look::At(number) => {
                    assert!(number.get() < next, "it goes down only");
                    number.get()
                }
            };
        }
        0
    }
}

fn told() -> Told {
    Told::default()
}

/// Four deploys, of which the last one turns out to be no good.
fn incident() -> Told {
    told()
        .ship('a', '1')
        .ship('b', '2')
        .ship('c', '3')
        .ship('d', '4')
}

#[test]
fn it_is_the_newest_that_ran_and_is_not_bad_and_is_something_else() {
    use DeployState::{Failed, Pending, Superseded};
    use Verdict::{Bad, Good};

    let cases = [
        ("nothing before", told().ship('a', '1'), 0),
        ("the one before", incident(), 3),
        (
            "one that failed is passed over",
            told()
                .ship('a', '1')
                .ship('b', '2')
                .but(Failed)
                .ship('c', '3'),
            1,
        ),
        (
            "one that was overtaken is passed over",
            told()
                .ship('a', '1')
                .ship('b', '2')
                .but(Superseded)
                .ship('c', '3'),
            1,
        ),
        (
            "one on its way changes nothing",
            told()
                .ship('a', '1')
                .ship('b', '2')
                .ship('c', '3')
                .but(Pending),
            1,
        ),
        (
            "nor does one that failed last",
            told()
                .ship('a', '1')
                .ship('b', '2')
                .ship('c', '3')
                .but(Failed),
            1,
        ),
        (
            "one that is marked bad is passed over",
            told()
                .ship('a', '1')
                .ship('b', '2')
                .mark(Bad)
                .ship('c', '3'),
            1,
        ),
        (
            "one that is marked good is taken",
            told()
                .ship('a', '1')
                .ship('b', '2')
                .mark(Good)
                .ship('c', '3'),
            2,
        ),
        (
            "that what runs now is marked does not matter",
            told().ship('a', '1').ship('b', '2').mark(Bad),
            1,
        ),
        (
            "the same again is passed over",
            told()
                .ship('a', '1')
                .ship('b', '2')
                .ship('b', '2')
                .ship('b', '2'),
            1,
        ),
        (
            "nothing but failures and the same",
            told()
                .ship('a', '1')
                .but(Failed)
                .ship('b', '2')
                .ship('b', '2'),
            0,
        ),
        (
            "what was shipped twice is taken, also if it is between",
            told().ship('a', '1').ship('b', '2').ship('a', '1'),
            2,
        ),
    ];
    for (what, told, expected) in cases {
        assert_eq!(told.previous(Scope::All), expected, "{what}");
    }
}

#[test]
fn it_never_leads_back_to_what_somebody_rolled_back_from() {
    use DeployState::Failed;
    use Scope::{All, Dags, Image};

    let cases = [
        (
            "after a rollback, below its target",
            incident().roll_back(All, 3),
            2,
        ),
        (
            "and below that",
            incident().roll_back(All, 3).roll_back(All, 2),
            1,
        ),
        (
            "until there is nothing left",
            incident()
                .roll_back(All, 3)
                .roll_back(All, 2)
                .roll_back(All, 1),
            0,
        ),
        (
            "a rollback to the deploy of a rollback",
            incident()
                .roll_back(All, 2)
                .ship('e', '5')
                .roll_back(All, 5),
            1,
        ),
        (
            "a deploy after a rollback may go back to it",
            incident().roll_back(All, 3).ship('e', '5'),
            5,
        ),
        (
            "what a rollback brought, shipped again",
            incident().roll_back(All, 3).ship('c', '3'),
            2,
        ),
        (
            "a rollback that failed left nothing",
            incident().roll_back(All, 2).but(Failed),
            3,
        ),
        (
            "forward again, and once more back",
            incident().roll_back(All, 2).roll_back(All, 4),
            3,
        ),
        (
            "a rollback of a part counts for the whole",
            incident().roll_back(Dags, 2),
            1,
        ),
        (
            "so does one of the image",
            incident().roll_back(Image, 3),
            2,
        ),
    ];
    for (what, told, expected) in cases {
        assert_eq!(told.previous(All), expected, "{what}");
    }
}

#[test]
fn a_scope_asks_for_what_differs_within_it() {
    use Scope::{All, Dags, Image};

    let apart = told()
        .ship('a', '1')
        .ship('b', '1')
        .ship('b', '2')
        .ship('b', '3');
    let runtime = |revision: &mut Revision| {
        revision.runs_on = image_only(DagDeployMode::DagOnly, 'a', "3.1-10").runs_on;
    };
    let dbt = |revision: &mut Revision| {
        revision
            .dbt
            .insert("/dbt/sales".parse().unwrap(), bundle('9'));
    };
    let mode = |revision: &mut Revision| revision.mode = DagDeployMode::Image;
    let moved = |revision: &mut Revision| {
        revision.image.tag = None;
        revision.image.repository = "mirror.example.com/etl".parse().unwrap();
    };
    let again = || told().ship('a', '1').ship('a', '1');
    for (what, told, [all, image, dags]) in [
        ("each part for itself", apart, [3, 1, 3]),
        ("a version is the image's", again().with(runtime), [1, 1, 0]),
        ("dbt bundles are DAGs", again().with(dbt), [1, 0, 1]),
        ("the mode is everything's", again().with(mode), [1, 0, 0]),
        (
            "another name of the same image is the same",
            again().with(moved),
            [0, 0, 0],
        ),
    ] {
        let found = [All, Image, Dags].map(|scope| told.previous(scope));
        assert_eq!(found, [all, image, dags], "{what}");
    }
}

#[test]
fn a_rollback_of_one_part_says_nothing_of_the_other() {
    use Scope::{All, Dags, Image};

    // Image c came with deploy 3, and the DAGs of deploy 4 were bad.
    let told = || {
        told()
            .ship('a', '1')
            .ship('b', '2')
            .ship('c', '2')
            .ship('c', '4')
            .roll_back(Dags, 1)
    };
    assert_eq!(told().current().revision.image, told().0[2].revision.image);
    assert_eq!(told().previous(Dags), 0);
    assert_eq!(told().previous(Image), 2, "image b ran before image c");

    let both = told().roll_back(Image, 2);
    assert_eq!(both.previous(Image), 1);
    assert_eq!(both.previous(Dags), 0);
    assert_eq!(both.previous(All), 1);
}

#[test]
fn whatever_the_history_going_back_again_and_again_ends() {
    use proptest::prelude::*;

    let step = (
        0..3_u8,
        0..3_u8,
        0..6_u8,
        any::<prop::sample::Index>(),
        0..3_usize,
    );
    let steps = prop::collection::vec(step, 1..12);
    proptest!(|(steps in steps, scope in prop::sample::select(Scope::ALL))| {
        let letter = |n: u8, first: u8| char::from(first + n);
        let mut told = told().ship('a', '1');
        for (image, dags, kind, to, of) in steps {
            let to = to.index(told.0.len());
            let is_target = told.0[to].state == DeployState::Deployed;
            told = match kind {
                0 => told.ship(letter(image, b'a'), letter(dags, b'1')).but(DeployState::Failed),
                1 => told.ship(letter(image, b'a'), letter(dags, b'1')).mark(Verdict::Bad),
                2 | 3 if is_target => {
                    told.roll_back(Scope::ALL[of], i64::try_from(to).unwrap() + 1)
                }
                _ => told.ship(letter(image, b'a'), letter(dags, b'1')),
            };
        }
        let mut sources = Vec::new();
        loop {
            let found = told.previous(scope);
            if found == 0 {
                break;
            }
            let target = &told.0[usize::try_from(found).unwrap() - 1];
            prop_assert_eq!(target.state, DeployState::Deployed);
            prop_assert!(target.mark.is_none());
            prop_assert!(differ(scope, &told.current().revision, &target.revision));
            // Further down each time, so that nothing comes back that was left.
            prop_assert!(sources.last().is_none_or(|last| found < *last), "{sources:?} {found}");
            sources.push(found);
            told = told.roll_back(scope, found);
        }
    });
}
