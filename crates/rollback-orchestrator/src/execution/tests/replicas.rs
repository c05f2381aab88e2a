use chassis::on_both_databases;
use chassis::testing::TestDatabase;

use super::*;

on_both_databases!(crate::store::MIGRATIONS;
    a_driver_that_lost_its_fence_ends_silently,
    two_replicas_that_race_for_a_lease_drive_it_once,
    a_stopping_replica_lets_go_and_another_one_finishes,
    a_caller_who_goes_away_changes_nothing,
    the_second_of_two_rollbacks_at_once_is_told_of_the_first,
);

async fn a_driver_that_lost_its_fence_ends_silently(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(hasty());
    let new = new_rollback(long());
    let job = accepted(&bench, &new, &hasty().lease).await;
    let lost = Driver::new(Arc::clone(&execution.0), job, Some(permit()));
    let taken = bench
        .store
        .take_up(&lease_of(long()), Environment::system().now())
        .await
        .unwrap()
        .unwrap();
    lost.drive().await;
    let rollback = bench.store.rollback(&new.name).await.unwrap().unwrap();
    assert_eq!(rollback.state, State::Pending);
    assert!(bench.fake_registry.state().permits.is_empty());

    Driver::new(Arc::clone(&execution.0), taken, None)
        .drive()
        .await;
    assert!(is_written(&ended(&bench, &new.name).await));
}

async fn two_replicas_that_race_for_a_lease_drive_it_once(db: TestDatabase) {
    let bench = bench(&db).await;
    let mut names = Vec::new();
    for _ in 0..8 {
        let new = new_rollback(long());
        accepted(&bench, &new, &hasty().lease).await;
        names.push(new.name);
    }
    let replicas = [bench.replica(patience()), bench.replica(patience())];
    let recoveries = replicas
        .clone()
        .map(|replica| tokio::spawn(replica.recover()));
    for name in &names {
        let rollback = ended(&bench, name).await;
        assert!(is_written(&rollback));
        assert_eq!(attempts(&rollback, StepKind::Write), 1);
    }
    assert_eq!(bench.fake_registry.state().permits.len(), names.len());
    for replica in &replicas {
        replica.stop();
        replica.join().await;
    }
    for recovery in recoveries {
        tokio::time::timeout(SOON, recovery).await.unwrap().unwrap();
    }
}

async fn a_stopping_replica_lets_go_and_another_one_finishes(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let stopping = bench.replica(patience());
    let new = new_rollback(long());
    let name = new.name.clone();
    let submission = stopping.submit(new, permit());
    eventually(async || (bench.fake_registry.state().permits.len() > 1).then_some(())).await;
    stopping.stop();
    tokio::time::timeout(SOON, stopping.join()).await.unwrap();
    let until = Instant::now() + SOON;
    let driven = driven(submission).await;
    let unfinished = stopping.ended(&name, Some(driven), until).await;
    assert!(unfinished.unwrap().is_none());

    // The lease was let go of: nobody waits for it to expire.
    bench.fake_registry.state().every_write = None;
    let other = bench.replica(patience());
    let recovery = tokio::spawn(other.clone().recover());
    assert!(is_written(&ended(&bench, &name).await));
    other.stop();
    recovery.await.unwrap();
}

async fn a_caller_who_goes_away_changes_nothing(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(patience());
    let new = new_rollback(long());
    let name = new.name.clone();
    drop(execution.submit(new, permit()));
    assert!(is_written(&ended(&bench, &name).await));
}

async fn the_second_of_two_rollbacks_at_once_is_told_of_the_first(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let execution = bench.replica(patience());
    let first = new_rollback(long());
    let mut second = new_rollback(long());
    second.order.deployment_uid = first.order.deployment_uid;
    second.name = RollbackName::new(first.name.deployment().clone(), second.name.id());
    let name = first.name.clone();
    let first = execution.submit(first, permit());
    eventually(async || bench.store.rollback(&name).await.unwrap()).await;
    let submission = execution.submit(second, permit()).await.unwrap().unwrap();
    assert!(matches!(submission, Submission::InProgress(first) if first == name));
    bench.fake_registry.state().every_write = None;
    driven(first).await.await.unwrap();
}
