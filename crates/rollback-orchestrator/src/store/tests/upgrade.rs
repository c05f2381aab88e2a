use chassis::database::Migrations;
use chassis::testing::TestDatabase;
use chassis::{args, on_both_databases, transaction};

use super::*;
use crate::domain::rollback::{State, StepKind};

on_both_databases!(super::FIRST;
    a_roll_out_that_the_first_release_has_left_is_followed,
    a_rollback_that_the_first_release_was_closing_fails,
);

/// What the first release knew.
const FIRST: Migrations = Migrations {
    sqlite: &[include_str!(
        "../../../migrations/sqlite/0001_rollbacks.sql"
    )],
    postgres: &[include_str!(
        "../../../migrations/postgres/0001_rollbacks.sql"
    )],
};

/// A rollback as the first release has stored it, in a database of this one.
async fn upgraded(
    db: TestDatabase,
    (state, deploy, roll_out): (&'static str, Option<i64>, Option<&'static str>),
    error: Option<&[u8]>,
) -> (TestDatabase, RollbackName) {
    let name = name(1);
    let end_time = deploy.map(|_| now());
    let inserted: Result<u64, database::Error> = transaction!(db.database, |tx| {
        tx.execute(
            "INSERT INTO rollbacks
                 (id, deployment, deployment_uid, created_by, target, expected_latest, replaced,
                  scope, description, permissions, plan_digest, acknowledged, state,
                  needs_attention, deploy, roll_out, error, write_deadline, create_time,
                  update_time, end_time, version, lease_expire_time, fence)
             VALUES ($1, $2, $1, 'user:alice@example.com', 3, 6, 5, 'ALL', 'why', '', $3, '', $4,
                     $5, $6, $7, $8, 0, 0, 0, $9, 1, 0, 1)",
            args![
                name.id().get(),
                name.deployment().to_string(),
                new(1).order.plan_digest.to_string(),
                state,
                false,
                deploy,
                roll_out,
                error.map(<[u8]>::to_vec),
                end_time
            ],
        )
        .await
    });
    assert_eq!(inserted.unwrap(), 1);
    (db.reopened(&crate::store::MIGRATIONS).await, name)
}

async fn a_roll_out_that_the_first_release_has_left_is_followed(db: TestDatabase) {
    let written = ("SUCCEEDED", Some(7), Some("NOT_ENDED"));
    let (db, name) = upgraded(db, written, None).await;
    let store = store(&db);
    let rollback = read(&store, &name).await;
    let State::Succeeded {
        roll_out: None,
        roll_out_deadline: Some(deadline),
        end_time,
        ..
    } = rollback.state
    else {
        panic!("{rollback:?}")
    };
    assert_eq!(deadline, end_time + TimeDelta::hours(1));

    let followed = store.follow(&lease(LONG)).await.unwrap().unwrap();
    let end = shipped(7).roll_out.unwrap();
    store.end_roll_out(&followed, &end, now()).await.unwrap();
    let rollback = read(&store, &name).await;
    assert!(
        matches!(&rollback.state, State::Succeeded { roll_out: Some(ended), .. } if *ended == end)
    );
    let step = rollback.steps.last().unwrap();
    assert!(step.kind == StepKind::RollOut && step.end_time.is_some());
}

async fn a_rollback_that_the_first_release_was_closing_fails(db: TestDatabase) {
    let (db, name) = upgraded(db, ("RUNNING", None, None), Some(b"refused")).await;
    let store = store(&db);
    let job = store.take_up(&lease(LONG), now()).await.unwrap().unwrap();
    assert_eq!((&job.name, &job.closing), (&name, &Some(failed("refused"))));
}
