//! Each rule finds the fault that is planted for it.

use super::ledger::flaws;
use super::ledger::{Answer, Call, Cell, Change, Deploy, Flaw, Found, History, Kind, Part, Work};
use crate::harness::requests::deploy as deploy_name;

const DEPLOYMENT: &str = "workspaces/w/deployments/d";

fn bundle(name: &str) -> String {
    format!("{DEPLOYMENT}/dagBundles/{name}")
}

fn deploy(number: i64, image: &str, of: &str) -> Deploy {
    Deploy {
        name: deploy_name(DEPLOYMENT, number),
        description: format!("deploy {number}"),
        image: image.to_owned(),
        bundle: bundle(of),
        mark: String::new(),
        pin: String::new(),
    }
}

fn history(deploys: Vec<Deploy>, changes: &[(Kind, i64)]) -> Found {
    let bundles = deploys.iter().map(|deploy| deploy.bundle.clone());
    let changes = (1..).zip(changes).map(|(number, (kind, deploy))| Change {
        number,
        kind: *kind,
        name: match deploy {
            0 => String::new(),
            deploy => deploy_name(DEPLOYMENT, *deploy),
        },
    });
    let changes = changes.collect::<Vec<_>>();
    let history = History {
        latest: deploys.last().unwrap().name.clone(),
        hold: String::new(),
        change: changes.len().try_into().unwrap(),
        changes,
        bundles: bundles.collect(),
        deploys,
    };
    [(DEPLOYMENT.to_owned(), history)].into()
}

fn before() -> Found {
    let changes = [(Kind::DeploymentCreated, 0), (Kind::DeployCreated, 1)];
    history(vec![deploy(1, "i", "b")], &changes)
}

fn ship(number: i64, part: Part) -> Work {
    Work::Ship {
        deployment: DEPLOYMENT.to_owned(),
        description: format!("deploy {number}"),
        part,
    }
}

fn set(cell: Cell, value: &str) -> Work {
    let value = value.to_owned();
    Work::Set { cell, value }
}

fn call(work: Work, answer: Option<Answer>) -> Call {
    Call {
        work,
        request_id: String::new(),
        answer,
    }
}

fn done(number: i64) -> Option<Answer> {
    Some(Answer::Done(deploy_name(DEPLOYMENT, number)))
}

/// A bundle was uploaded and shipped, then an image, which was not answered; the first of the two was
/// marked, and a hold was placed and released.
fn calls() -> Vec<Call> {
    let mark = Cell::Mark(deploy_name(DEPLOYMENT, 2));
    let hold = || Cell::Hold(DEPLOYMENT.to_owned());
    vec![
        call(
            Work::Upload {
                bundle: bundle("c"),
            },
            done(0),
        ),
        call(ship(2, Part::Bundle(bundle("c"))), done(2)),
        call(ship(3, Part::Image("j".to_owned())), None),
        call(set(mark, "slow"), done(2)),
        call(set(hold(), "wait"), None),
        call(set(hold(), ""), done(0)),
    ]
}

fn with_the_image() -> Found {
    let mut found = history(
        vec![
            deploy(1, "i", "b"),
            deploy(2, "i", "c"),
            deploy(3, "j", "c"),
        ],
        &[
            (Kind::DeploymentCreated, 0),
            (Kind::DeployCreated, 1),
            (Kind::DeployCreated, 2),
            (Kind::DeployCreated, 3),
            (Kind::Marked, 2),
            (Kind::HoldPlaced, 0),
            (Kind::HoldReleased, 0),
        ],
    );
    of(&mut found).deploys[1].mark = "slow".to_owned();
    found
}

fn of(found: &mut Found) -> &mut History {
    found.get_mut(DEPLOYMENT).unwrap()
}

/// What was not answered has not happened.
fn without_the_image() -> Found {
    let mut found = with_the_image();
    let history = of(&mut found);
    history.deploys.pop();
    history.latest = deploy_name(DEPLOYMENT, 2);
    remove_changes(history, &[7, 6, 4]);
    found
}

/// Takes changes out, and numbers the others again.
fn remove_changes(history: &mut History, numbers: &[usize]) {
    for number in numbers {
        history.changes.remove(number - 1);
    }
    for (number, change) in (1..).zip(&mut history.changes) {
        change.number = number;
    }
    history.change = history.changes.len().try_into().unwrap();
}

/// What is wrong after a fault was planted.
fn planted(plant: impl FnOnce(&mut History)) -> Vec<Flaw> {
    let mut found = with_the_image();
    plant(of(&mut found));
    flaws(&before(), &calls(), &found)
}

fn name() -> String {
    DEPLOYMENT.to_owned()
}

#[test]
fn what_was_not_answered_may_be_there_or_not() {
    assert_eq!(flaws(&before(), &calls(), &with_the_image()), []);
    assert_eq!(flaws(&before(), &calls(), &without_the_image()), []);
}

#[test]
fn a_deploy_that_was_answered_and_is_gone_is_found() {
    let found = flaws(&before(), &calls(), &before());
    for lost in &calls()[..2] {
        assert!(found.contains(&Flaw::Lost(lost.clone())), "{found:#?}");
    }
    let found = planted(|history| history.deploys[1].name = deploy_name(DEPLOYMENT, 4));
    assert!(
        found.contains(&Flaw::Lost(calls()[1].clone())),
        "{found:#?}"
    );
}

#[test]
fn a_deploy_that_is_there_twice_is_found() {
    let found = planted(|history| {
        let mut again = history.deploys[2].clone();
        again.name = deploy_name(DEPLOYMENT, 4);
        history.deploys.push(again.clone());
        history.latest = again.name.clone();
        history.changes.push(Change {
            number: 8,
            kind: Kind::DeployCreated,
            name: again.name,
        });
        history.change = 8;
    });
    assert_eq!(found, [Flaw::Doubled(calls()[2].work.clone())]);
}

#[test]
fn a_deploy_that_nobody_asked_for_or_not_so_is_found() {
    let forged = |plant: fn(&mut Deploy)| {
        let mut expected = deploy(3, "j", "c");
        plant(&mut expected);
        let found = planted(|history| plant(&mut history.deploys[2]));
        assert_eq!(found[0], Flaw::Unasked(expected), "{found:#?}");
    };
    forged(|deploy| deploy.image = "i".to_owned());
    forged(|deploy| deploy.bundle = bundle("b"));
    forged(|deploy| deploy.description = "by mallory".to_owned());
}

#[test]
fn a_deploy_that_is_there_though_it_was_refused_is_found() {
    let mut calls = calls();
    calls[2].answer = Some(Answer::Refused);
    let refused = Flaw::DoneThoughRefused(calls[2].clone());
    assert_eq!(flaws(&before(), &calls, &with_the_image()), [refused]);
    assert_eq!(flaws(&before(), &calls, &without_the_image()), []);
}

#[test]
fn numbers_with_a_gap_are_found() {
    let found = planted(|history| {
        history.deploys[2].name = deploy_name(DEPLOYMENT, 4);
        history.changes[3].name = deploy_name(DEPLOYMENT, 4);
        history.latest = deploy_name(DEPLOYMENT, 4);
    });
    assert_eq!(found, [Flaw::Numbers(name())]);
    let found = planted(|history| history.latest = deploy_name(DEPLOYMENT, 2));
    assert_eq!(found, [Flaw::Numbers(name())]);
}

#[test]
fn a_deploy_from_before_that_has_changed_is_found() {
    let found = planted(|history| history.deploys[0].image = "k".to_owned());
    let changed = Flaw::Changed(deploy_name(DEPLOYMENT, 1));
    assert!(found.contains(&changed), "{found:#?}");
}

#[test]
fn a_bundle_that_is_gone_is_found() {
    let found = planted(|history| {
        history.bundles.remove(&bundle("c"));
    });
    let gone = [2, 3].map(|number| Flaw::BundleGone(deploy_name(DEPLOYMENT, number)));
    assert_eq!(found[..2], gone);
    assert_eq!(found[2..], [Flaw::Lost(calls()[0].clone())]);
}

#[test]
fn a_value_that_nobody_can_have_written_last_is_found() {
    let mark = || Cell::Mark(deploy_name(DEPLOYMENT, 2));
    let lost = planted(|history| history.deploys[1].mark.clear());
    assert_eq!(lost, [Flaw::Value(mark(), String::new(), 1)]);
    let not_counted = planted(|history| remove_changes(history, &[5]));
    assert_eq!(not_counted, [Flaw::Value(mark(), "slow".to_owned(), 0)]);
    let pinned = planted(|history| history.deploys[2].pin = "pinned".to_owned());
    let pin = Cell::Pin(deploy_name(DEPLOYMENT, 3));
    assert_eq!(pinned, [Flaw::Value(pin, "pinned".to_owned(), 0)]);
    let held = planted(|history| {
        history.hold = "wait".to_owned();
        remove_changes(history, &[7]);
    });
    let hold = Cell::Hold(DEPLOYMENT.to_owned());
    assert_eq!(held, [Flaw::Value(hold, "wait".to_owned(), 1)]);
}

#[test]
fn changes_that_do_not_lead_to_the_history_are_found() {
    let faults: [fn(&mut History); 5] = [
        |history| history.changes[3].number = 5,
        |history| history.change = 8,
        |history| history.changes.swap(2, 3),
        |history| remove_changes(history, &[4]),
        |history| history.changes[5].kind = Kind::HoldReleased,
    ];
    for plant in faults {
        let found = planted(plant);
        assert!(found.contains(&Flaw::Changes(name())), "{found:#?}");
    }
}
