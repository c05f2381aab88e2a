use chassis::on_both_databases;
use chassis::testing::TestDatabase;
use proto::registry::v1::DeployState;

use super::*;
use crate::domain::rollback::{Looks, RollOut, RollOutEnd};
use crate::store::Follow;

on_both_databases!(crate::store::MIGRATIONS;
    a_roll_out_is_followed_to_its_end,
    a_roll_out_that_nobody_ends_times_out_once_it_was_looked_at,
    a_registry_that_is_away_past_the_deadline_needs_attention,
    a_deploy_that_the_registry_has_lost_needs_attention_until_the_deadline,
    looks_that_hang_hold_up_no_write,
    two_replicas_follow_a_roll_out_to_one_end,
    an_outage_is_told_with_the_step_while_it_lasts,
);

/// Roll-outs have no time left when they begin.
fn late() -> Patience {
    let follow = Follow {
        within: TimeDelta::zero(),
        ..patience().follow
    };
    Patience {
        follow,
        ..patience()
    }
}

/// A rollback whose deploy somebody else ships, written by a driver of this replica.
pub(super) async fn written(bench: &Bench, execution: &Execution) -> RollbackName {
    bench.fake_registry.state().roll_out = Some((DeployState::Pending, ""));
    let rollback = carried_out(execution, new_rollback(long())).await;
    assert!(is_written(&rollback), "{rollback:?}");
    assert_eq!(roll_out(&rollback), None);
    rollback.name
}

pub(super) fn roll_out(rollback: &Rollback) -> Option<RollOutEnd> {
    match &rollback.state {
        State::Succeeded { roll_out, .. } => roll_out.clone(),
        other @ (State::Pending
        | State::Running
        | State::Failed { .. }
        | State::Cancelled { .. }) => panic!("{other:?}"),
    }
}

async fn read(bench: &Bench, name: &RollbackName) -> Rollback {
    bench.store.rollback(name).await.unwrap().unwrap()
}

/// How the roll-out of a rollback ended.
async fn rolled_out(bench: &Bench, name: &RollbackName) -> (Rollback, RollOutEnd) {
    eventually(async || {
        let rollback = read(bench, name).await;
        let end = roll_out(&rollback)?;
        Some((rollback, end))
    })
    .await
}

/// Lets a replica do what it does beside its calls, while a case goes on.
async fn recovering<T>(execution: &Execution, case: impl Future<Output = T>) -> T {
    let recovery = tokio::spawn(execution.clone().recover());
    let outcome = case.await;
    execution.stop();
    recovery.await.unwrap();
    execution.join().await;
    outcome
}

async fn a_roll_out_is_followed_to_its_end(db: TestDatabase) {
    let bench = bench(&db).await;
    let ends = [
        (DeployState::Deployed, RollOut::Deployed),
        (DeployState::Failed, RollOut::Failed),
        (DeployState::Superseded, RollOut::Superseded),
    ];
    for (state, how) in ends {
        let execution = bench.replica(patience());
        let name = written(&bench, &execution).await;
        let before = read(&bench, &name).await;
        let (after, end) = recovering(&execution, async {
            // That nothing happens is looked at more than once, and changes nothing.
            let looks = bench.fake_registry.state().look_calls;
            eventually(async || (bench.fake_registry.state().look_calls > looks + 2).then_some(()))
                .await;
            bench.fake_registry.state().roll_out = Some((DeployState::RollingOut, "half"));
            assert_eq!(read(&bench, &name).await, before);
            bench.fake_registry.state().roll_out = Some((state, "so it went"));
            rolled_out(&bench, &name).await
        })
        .await;
        let reason = "so it went".to_owned();
        assert_eq!(end, RollOutEnd { how, reason });
        assert!(after.version > before.version && !after.needs_attention);
        assert_eq!(attempts(&after, StepKind::RollOut), 1);
        assert!(after.steps.iter().all(|step| step.end_time.is_some()));

        let looks = bench.fake_registry.state().look_calls;
        assert!(bench.store.follow(&hasty().lease).await.unwrap().is_none());
        assert_eq!(bench.fake_registry.state().look_calls, looks);
    }
}

async fn a_roll_out_that_nobody_ends_times_out_once_it_was_looked_at(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(late());
    let name = written(&bench, &execution).await;
    let (rollback, end) = recovering(&execution, rolled_out(&bench, &name)).await;
    assert_eq!(end.how, RollOut::TimedOut);
    assert!(!rollback.needs_attention);
    assert_eq!(bench.fake_registry.state().look_calls, 1);

    // What has ended before anybody looked is told as it ended, however late that is.
    let execution = bench.replica(late());
    let name = written(&bench, &execution).await;
    bench.fake_registry.state().roll_out = Some((DeployState::Deployed, ""));
    let (_, end) = recovering(&execution, rolled_out(&bench, &name)).await;
    assert_eq!(end.how, RollOut::Deployed);
}

async fn a_registry_that_is_away_past_the_deadline_needs_attention(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(late());
    let name = written(&bench, &execution).await;
    bench.fake_registry.state().every_look = Some(Act::Fail(Status::unavailable("down")));
    let (rollback, end) = recovering(&execution, async {
        eventually(async || (bench.fake_registry.state().look_calls > 3).then_some(())).await;
        let waiting = read(&bench, &name).await;
        assert!(waiting.needs_attention && roll_out(&waiting).is_none());
        bench.fake_registry.state().roll_out = Some((DeployState::Deployed, ""));
        bench.fake_registry.state().every_look = None;
        rolled_out(&bench, &name).await
    })
    .await;
    assert_eq!(end.how, RollOut::Deployed);
    assert!(!rollback.needs_attention);
}

async fn a_deploy_that_the_registry_has_lost_needs_attention_until_the_deadline(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(patience());
    let name = written(&bench, &execution).await;
    let deploys = std::mem::take(&mut bench.fake_registry.state().deploys);
    recovering(&execution, async {
        eventually(async || read(&bench, &name).await.needs_attention.then_some(())).await;
        // Somebody restores the registry.
        bench.fake_registry.state().deploys = deploys;
        eventually(async || (!read(&bench, &name).await.needs_attention).then_some(())).await;
    })
    .await;
    let rollback = read(&bench, &name).await;
    assert_eq!(roll_out(&rollback), None);

    let execution = bench.replica(late());
    let name = written(&bench, &execution).await;
    bench.fake_registry.state().deploys.clear();
    let (rollback, end) = recovering(&execution, rolled_out(&bench, &name)).await;
    assert_eq!(end.how, RollOut::TimedOut);
    assert!(end.reason.contains("does not have the deploy"), "{end:?}");
    assert!(!rollback.needs_attention);
}

async fn looks_that_hang_hold_up_no_write(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(patience());
    // More than would fit into the room for writes.
    for _ in 0..=MOST_TAKEN_UP {
        written(&bench, &execution).await;
    }
    bench.fake_registry.state().every_look = Some(Act::Hang);
    let recovery = tokio::spawn(execution.clone().recover());
    let looks = || usize::try_from(bench.fake_registry.state().look_calls).unwrap();
    eventually(async || (looks() >= MOST_LOOKED_AT).then_some(())).await;

    let left = new_rollback(long());
    accepted(&bench, &left, &hasty().lease).await;
    assert!(is_written(&ended(&bench, &left.name).await));
    assert!(looks() < MOST_TAKEN_UP, "looks took the room of writes");
    execution.stop();
    recovery.await.unwrap();
}

async fn two_replicas_follow_a_roll_out_to_one_end(db: TestDatabase) {
    let bench = bench(&db).await;
    let name = written(&bench, &bench.replica(patience())).await;
    let replicas = [bench.replica(hasty()), bench.replica(hasty())];
    let recoveries = replicas
        .clone()
        .map(|replica| tokio::spawn(replica.recover()));
    let before = read(&bench, &name).await;
    bench.fake_registry.state().roll_out = Some((DeployState::Deployed, ""));
    let (after, _) = rolled_out(&bench, &name).await;
    for replica in &replicas {
        replica.stop();
        replica.join().await;
    }
    for recovery in recoveries {
        tokio::time::timeout(SOON, recovery).await.unwrap().unwrap();
    }
    assert_eq!(after.version, before.version + 1);
    assert_eq!(read(&bench, &name).await, after);
}

async fn an_outage_is_told_with_the_step_while_it_lasts(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(patience());
    let name = written(&bench, &execution).await;
    bench.fake_registry.state().every_look = Some(Act::Fail(Status::unavailable("down")));
    let error = async || {
        let rollback = read(&bench, &name).await;
        let mut steps = rollback.steps.into_iter();
        let step = steps.find(|step| step.kind == StepKind::RollOut).unwrap();
        step.error.map(|error| failure::to_problem(&error).reason())
    };
    recovering(&execution, async {
        let told = eventually(&error).await;
        assert_eq!(told, ErrorReason::DependencyUnavailable);
        assert!(!read(&bench, &name).await.needs_attention);
        bench.fake_registry.state().every_look = None;
        eventually(async || error().await.is_none().then_some(())).await;
    })
    .await;
}

#[test]
fn looks_become_rarer_and_none_is_missed_at_the_deadline() {
    let looks = Looks {
        first: TimeDelta::seconds(2),
        longest: TimeDelta::seconds(15),
    };
    let start = Environment::system().now();
    let deadline = start + TimeDelta::seconds(100);
    let next = |after| {
        let now = start + TimeDelta::seconds(after);
        (looks.next(start, deadline, now) - now).num_seconds()
    };
    let pauses = [
        (-5, 2),
        (0, 2),
        (8, 2),
        (20, 5),
        (60, 15),
        (99, 1),
        (100, 15),
        (500, 15),
    ];
    for (after, expected) in pauses {
        assert_eq!(next(after), expected, "after {after} s");
    }
}
