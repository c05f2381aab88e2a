//! Each rule finds the fault that is planted for it.

use proto::common::v1::RollbackScope;
use proto::registry::v1::{
    Bundle, Deploy, DeployState, DeployTrigger, Image, Revision, RollbackOrigin,
};
use proto::rollback::v1::{AuditEvent, AuditEventKind, RollOut, Rollback, RollbackState};
use tonic_types::pb::Status;

use super::{Answer, Asked, Cancel, Flaw, History, Part, Records, Shipped};

const DEPLOYMENT: &str = "workspaces/w/deployments/d";

fn deploy_name(number: usize) -> String {
    format!("{DEPLOYMENT}/deploys/{number}")
}

fn rollback_name(id: &str) -> String {
    format!("{DEPLOYMENT}/rollbacks/{id}")
}

fn revision(image: &str, dags: &str) -> Revision {
    Revision {
        image: Some(image_of(image)),
        runtime_version: format!("runtime of {image}"),
        airflow_version: format!("airflow of {image}"),
        dag_bundle: Some(Bundle {
            sha256: dags.to_owned(),
            ..Bundle::default()
        }),
        ..Revision::default()
    }
}

fn image_of(digest: &str) -> Image {
    Image {
        digest: digest.to_owned(),
        ..Image::default()
    }
}

fn deploy(number: usize, revision: Revision) -> Deploy {
    Deploy {
        name: deploy_name(number),
        description: format!("deploy {number}"),
        revision: Some(revision),
        state: DeployState::Deployed.into(),
        trigger: DeployTrigger::Api.into(),
        created_by: "user:dana".to_owned(),
        ..Deploy::default()
    }
}

/// A rollback to the first deploy.
fn rollback(id: &str, scope: RollbackScope, replaced: usize) -> Rollback {
    let time = Some(prost_types::Timestamp::default());
    Rollback {
        name: rollback_name(id),
        description: format!("rollback {id}"),
        target_deploy: deploy_name(1),
        replaced_deploy: deploy_name(replaced),
        scope: scope.into(),
        state: RollbackState::Succeeded.into(),
        deploy: deploy_name(replaced + 1),
        roll_out: RollOut::Deployed.into(),
        created_by: "user:dana".to_owned(),
        end_time: time,
        ..Rollback::default()
    }
}

fn written(rollback: &Rollback, number: usize, revision: Revision) -> Deploy {
    Deploy {
        description: rollback.description.clone(),
        trigger: DeployTrigger::Rollback.into(),
        rollback: Some(RollbackOrigin {
            source_deploy: rollback.target_deploy.clone(),
            replaced_deploy: rollback.replaced_deploy.clone(),
            scope: rollback.scope,
            rollback: rollback.name.clone(),
            permit_id: "permit".to_owned(),
        }),
        ..deploy(number, revision)
    }
}

fn asked(rollback: &Rollback, answer: Answer) -> Asked {
    Asked {
        person: "user:dana".to_owned(),
        deployment: DEPLOYMENT.to_owned(),
        target: 1,
        scope: rollback.scope(),
        description: rollback.description.clone(),
        lost: false,
        answer,
        cancel: Cancel::NotAsked,
        read_again: None,
    }
}

fn event(kind: AuditEventKind, rollback: &Rollback, state: RollbackState) -> AuditEvent {
    let deploy = if kind == AuditEventKind::RollbackSucceeded {
        rollback.deploy.clone()
    } else {
        String::new()
    };
    AuditEvent {
        kind: kind.into(),
        principal: rollback.created_by.clone(),
        rollback: rollback.name.clone(),
        state: state.into(),
        deploy,
        ..AuditEvent::default()
    }
}

fn failed() -> Rollback {
    Rollback {
        state: RollbackState::Failed.into(),
        deploy: String::new(),
        roll_out: RollOut::Unspecified.into(),
        error: Some(Status::default()),
        ..rollback("failed", RollbackScope::All, 3)
    }
}

/// Two deploys; one of CI; then the DAGs and all of the first, by rollbacks; and a rollback that failed.
fn right() -> History {
    let dags = rollback("dags", RollbackScope::Dags, 3);
    let all = rollback("all", RollbackScope::All, 4);
    let failed = failed();
    let events = [
        event(
            AuditEventKind::RollbackAccepted,
            &dags,
            RollbackState::Pending,
        ),
        event(
            AuditEventKind::RollbackAccepted,
            &failed,
            RollbackState::Pending,
        ),
        event(
            AuditEventKind::RollbackSucceeded,
            &dags,
            RollbackState::Succeeded,
        ),
        event(
            AuditEventKind::RollbackFailed,
            &failed,
            RollbackState::Failed,
        ),
        event(
            AuditEventKind::RollbackAccepted,
            &all,
            RollbackState::Pending,
        ),
        event(
            AuditEventKind::RollbackSucceeded,
            &all,
            RollbackState::Succeeded,
        ),
    ];
    let numbered = (1..).zip(events);
    let records = Records {
        deploys: vec![
            deploy(1, revision("i", "d")),
            deploy(2, revision("j", "e")),
            deploy(3, revision("j", "f")),
            written(&dags, 4, revision("j", "d")),
            written(&all, 5, revision("i", "d")),
        ],
        latest: deploy_name(5),
        rollbacks: vec![dags.clone(), failed.clone(), all.clone()],
        events: numbered
            .map(|(number, event)| AuditEvent { number, ..event })
            .collect(),
    };
    let ended = Answer::Ended {
        rollback: failed.name.clone(),
    };
    let succeeded = |rollback: &Rollback| Asked {
        read_again: Some(rollback.clone()),
        ..asked(rollback, Answer::Succeeded(Box::new(rollback.clone())))
    };
    History {
        asked: vec![succeeded(&dags), asked(&failed, ended), succeeded(&all)],
        shipped: vec![Shipped {
            person: "user:dana".to_owned(),
            deployment: DEPLOYMENT.to_owned(),
            description: "deploy 3".to_owned(),
            part: Part::Dags("f".to_owned()),
            answer: deploy_name(3),
        }],
        at_first: 2,
        found: [(DEPLOYMENT.to_owned(), records)].into(),
    }
}

/// What is wrong after a fault was planted.
fn planted(plant: impl FnOnce(&mut Records)) -> Vec<Flaw> {
    let mut history = right();
    plant(history.found.get_mut(DEPLOYMENT).unwrap());
    history.flaws()
}

#[track_caller]
fn assert_found(flaws: &[Flaw], expected: &Flaw) {
    assert!(flaws.contains(expected), "{expected:?} in {flaws:#?}");
}

fn origin(deploy: &mut Deploy) -> &mut RollbackOrigin {
    deploy.rollback.as_mut().unwrap()
}

#[test]
fn a_history_without_a_fault_has_no_flaw() {
    assert_eq!(right().flaws(), []);
}

#[test]
fn an_image_that_ci_ships_stands_on_the_dags_of_before() {
    let mut history = right();
    history.shipped[0].part = Part::Image {
        image: image_of("k"),
        runtime_version: "runtime of k".to_owned(),
    };
    let deploys = &mut history.found.get_mut(DEPLOYMENT).unwrap().deploys;
    deploys[2].revision = Some(revision("k", "e"));
    deploys[3].revision = Some(revision("k", "d"));
    assert_eq!(history.flaws(), []);
    let deploys = &mut history.found.get_mut(DEPLOYMENT).unwrap().deploys;
    deploys[2].revision = Some(revision("k", "f"));
    assert_eq!(history.flaws(), [Flaw::Revision(deploy_name(3))]);
}

#[test]
fn numbers_with_a_gap_are_found() {
    let gap = planted(|records| {
        records.deploys.remove(1);
    });
    assert_found(&gap, &Flaw::Numbers(DEPLOYMENT.to_owned()));
    let latest = planted(|records| records.latest = deploy_name(4));
    assert_eq!(latest, [Flaw::Numbers(DEPLOYMENT.to_owned())]);
}

#[test]
fn a_second_deploy_of_a_rollback_is_found() {
    let twice = planted(|records| {
        let mut again = records.deploys[4].clone();
        again.name = deploy_name(6);
        records.deploys.push(again);
        records.latest = deploy_name(6);
    });
    assert_found(&twice, &Flaw::Doubled(rollback_name("all")));
}

#[test]
fn a_deploy_without_a_record_is_found() {
    let unrecorded = planted(|records| {
        records.rollbacks.pop();
    });
    assert_found(&unrecorded, &Flaw::Unrecorded(deploy_name(5)));
    let of_ci = planted(|records| records.deploys[2].description = "by mallory".to_owned());
    assert_found(&of_ci, &Flaw::Unasked(deploy_name(3)));
    let by_another = planted(|records| records.deploys[2].created_by = "user:sam".to_owned());
    assert_found(&by_another, &Flaw::Unasked(deploy_name(3)));
}

#[test]
fn a_deploy_that_is_not_as_the_record_says_is_found() {
    let faults: [fn(&mut Deploy); 9] = [
        |deploy| origin(deploy).source_deploy = deploy_name(2),
        |deploy| origin(deploy).replaced_deploy = deploy_name(3),
        |deploy| origin(deploy).scope = RollbackScope::Image.into(),
        |deploy| origin(deploy).permit_id.clear(),
        |deploy| deploy.created_by = "user:sam".to_owned(),
        |deploy| deploy.description = "other words".to_owned(),
        |deploy| deploy.name = deploy_name(6),
        |deploy| deploy.trigger = DeployTrigger::Api.into(),
        |deploy| deploy.state = DeployState::Pending.into(),
    ];
    for plant in faults {
        let mut name = String::new();
        let found = planted(|records| {
            plant(&mut records.deploys[4]);
            name.clone_from(&records.deploys[4].name);
        });
        assert_found(&found, &Flaw::Mismatch(name));
    }
}

#[test]
fn a_rollback_that_overwrote_a_deploy_is_found() {
    let overwrote = planted(|records| {
        let replaced = deploy_name(3);
        origin(&mut records.deploys[4])
            .replaced_deploy
            .clone_from(&replaced);
        records.rollbacks[2].replaced_deploy = replaced;
    });
    assert_eq!(overwrote, [Flaw::Mismatch(deploy_name(5))]);
}

#[test]
fn a_revision_that_was_not_composed_is_found() {
    for (index, wrong) in [
        (2, ("i", "f")),
        (3, ("j", "e")),
        (3, ("i", "d")),
        (4, ("i", "e")),
    ] {
        let (image, dags) = wrong;
        let found = planted(|records| {
            records.deploys[index].revision = Some(revision(image, dags));
        });
        assert_found(&found, &Flaw::Revision(deploy_name(index + 1)));
    }
}

#[test]
fn a_rollback_that_is_not_over_is_found() {
    let faults: [fn(&mut Rollback); 4] = [
        |rollback| rollback.state = RollbackState::Running.into(),
        |rollback| rollback.state = RollbackState::Pending.into(),
        |rollback| rollback.needs_attention = true,
        |rollback| rollback.end_time = None,
    ];
    for plant in faults {
        let found = planted(|records| plant(&mut records.rollbacks[2]));
        assert_found(&found, &Flaw::Stuck(rollback_name("all")));
    }
    let step = planted(|records| records.rollbacks[2].steps.push(Default::default()));
    assert_eq!(step, [Flaw::Stuck(rollback_name("all"))]);
}

#[test]
fn a_rollback_that_succeeded_without_its_deploy_is_found() {
    let without = planted(|records| {
        records.deploys.pop();
        records.latest = deploy_name(4);
    });
    assert_eq!(without, [Flaw::WithoutDeploy(rollback_name("all"))]);
    let of_another = planted(|records| records.rollbacks[2].deploy = deploy_name(4));
    assert_found(&of_another, &Flaw::WithoutDeploy(rollback_name("all")));
    let no_roll_out = planted(|records| records.rollbacks[2].roll_out = 0);
    assert_eq!(no_roll_out, [Flaw::WithoutDeploy(rollback_name("all"))]);
}

#[test]
fn a_rollback_that_failed_or_was_cancelled_with_a_deploy_is_found() {
    for state in [RollbackState::Failed, RollbackState::Cancelled] {
        let found = planted(|records| {
            let rollback = &mut records.rollbacks[2];
            rollback.state = state.into();
            rollback.deploy.clear();
            rollback.error = Some(Status::default());
        });
        assert_found(&found, &Flaw::WithDeploy(rollback_name("all")));
    }
    let no_reason = planted(|records| records.rollbacks[1].error = None);
    assert_eq!(no_reason, [Flaw::WithDeploy(rollback_name("failed"))]);
}

#[test]
fn a_rollback_that_nobody_asked_for_so_is_found() {
    let faults: [fn(&mut Rollback); 4] = [
        |rollback| rollback.description = "by mallory".to_owned(),
        |rollback| rollback.created_by = "user:sam".to_owned(),
        |rollback| rollback.scope = RollbackScope::Image.into(),
        |rollback| rollback.target_deploy = deploy_name(2),
    ];
    for plant in faults {
        let found = planted(|records| plant(&mut records.rollbacks[1]));
        assert_found(&found, &Flaw::UnaskedRollback(rollback_name("failed")));
    }
    let twice = planted(|records| {
        let mut again = failed();
        again.name = rollback_name("again");
        records.rollbacks.push(again);
    });
    assert_found(&twice, &Flaw::UnaskedRollback(rollback_name("again")));
}

#[test]
fn an_answer_that_is_not_kept_is_found() {
    let flaws_if = |plant: fn(&mut History)| {
        let mut history = right();
        plant(&mut history);
        history.flaws()
    };
    let lost = Flaw::Lost("rollback all".to_owned());
    let gone = planted(|records| {
        records.rollbacks.pop();
        records.deploys.pop();
    });
    assert_found(&gone, &lost);
    let not_there_at_once = flaws_if(|history| {
        let read = history.asked[2].read_again.as_mut().unwrap();
        read.state = RollbackState::Running.into();
    });
    assert_eq!(not_there_at_once, [lost]);
    let succeeded_after_all = flaws_if(|history| {
        history.asked[2].answer = Answer::Ended {
            rollback: rollback_name("all"),
        };
    });
    assert_eq!(succeeded_after_all, [Flaw::Lost("rollback all".to_owned())]);
    let shipped = flaws_if(|history| history.shipped[0].answer = deploy_name(4));
    assert_eq!(shipped, [Flaw::Lost("deploy 3".to_owned())]);
}

#[test]
fn what_was_refused_and_happened_is_found_unless_an_answer_was_lost() {
    let mut history = right();
    history.asked[0].answer = Answer::Refused;
    let refused = Flaw::DoneThoughRefused("rollback dags".to_owned());
    assert_eq!(history.flaws(), [refused]);
    history.asked[0].lost = true;
    assert_eq!(history.flaws(), []);
}

#[test]
fn a_cancel_that_is_not_as_it_was_answered_is_found() {
    let cancelled = || {
        let mut history = right();
        let records = history.found.get_mut(DEPLOYMENT).unwrap();
        records.rollbacks[1].state = RollbackState::Cancelled.into();
        records.events[3].kind = AuditEventKind::RollbackCancelled.into();
        records.events[3].state = RollbackState::Cancelled.into();
        history
    };
    for (mut history, answered, is_right) in [
        (cancelled(), Cancel::Done, true),
        (cancelled(), Cancel::TooLate, false),
        (cancelled(), Cancel::NotAsked, false),
        (right(), Cancel::Done, false),
        (right(), Cancel::TooLate, true),
    ] {
        history.asked[1].cancel = answered;
        let flaw = Flaw::Cancel("rollback failed".to_owned());
        let expected = Some(flaw).filter(|_| !is_right);
        assert_eq!(history.flaws(), expected.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn events_that_do_not_tell_what_became_of_a_rollback_are_found() {
    let numbers = planted(|records| records.events[2].number = 7);
    assert_eq!(numbers, [Flaw::EventNumbers(DEPLOYMENT.to_owned())]);

    let faults: [fn(&mut Vec<AuditEvent>); 7] = [
        |events| events[4].kind = AuditEventKind::StepStarted.into(),
        |events| events[4].principal = "user:sam".to_owned(),
        |events| events[5].kind = AuditEventKind::RollbackFailed.into(),
        |events| events[5].deploy = deploy_name(4),
        |events| events[5].state = RollbackState::Running.into(),
        |events| {
            events.pop();
        },
        |events| {
            let again = events[5].clone();
            events.push(AuditEvent { number: 7, ..again });
        },
    ];
    for plant in faults {
        let found = planted(|records| plant(&mut records.events));
        assert_eq!(found, [Flaw::Events(rollback_name("all"))]);
    }
    let of_nobody = planted(|records| {
        let mut event = records.events[5].clone();
        event.rollback = rollback_name("unknown");
        event.number = 7;
        records.events.push(event);
    });
    assert_eq!(of_nobody, [Flaw::Events(rollback_name("unknown"))]);
}
