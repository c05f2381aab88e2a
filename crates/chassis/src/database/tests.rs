//! What stores rely on, on both databases.

use chrono::{DateTime, Utc};
use futures::future::join_all;
use model::names::{Principal, RequestId};
use uuid::Uuid;

use super::{Connection, Database, Error, Migrations, StoreError, time};
use crate::environment::Environment;
use crate::problem::Problem;
use crate::requests::{self, Request, Reused};
use crate::testing::TestDatabase;
use crate::{args, on_both_databases, transaction};

static MIGRATIONS: Migrations = Migrations {
    sqlite: &[
        "CREATE TABLE things (id INTEGER NOT NULL PRIMARY KEY, text TEXT, bytes BLOB, uuid BLOB,
                              flag INTEGER NOT NULL) STRICT;
         CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT;
         CREATE TABLE requests (
             principal TEXT NOT NULL, method TEXT NOT NULL, parent TEXT NOT NULL,
             request_id BLOB NOT NULL, body BLOB NOT NULL, outcome TEXT NOT NULL,
             create_time INTEGER NOT NULL,
             PRIMARY KEY (principal, method, parent, request_id)) STRICT;",
    ],
    postgres: &[
        "CREATE TABLE things (id BIGINT NOT NULL PRIMARY KEY, text TEXT, bytes BYTEA, uuid UUID,
                              flag BOOLEAN NOT NULL);
         CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL);
         CREATE TABLE requests (
             principal TEXT NOT NULL, method TEXT NOT NULL, parent TEXT NOT NULL,
             request_id UUID NOT NULL, body BYTEA NOT NULL, outcome TEXT NOT NULL,
             create_time BIGINT NOT NULL,
             PRIMARY KEY (principal, method, parent, request_id));",
    ],
};

on_both_databases! {
    super::MIGRATIONS;
    what_a_failed_transaction_did_is_gone,
    values_come_back_as_they_went_in,
    sixteen_racers_count_without_gaps,
    a_snapshot_stays_as_it_was_while_others_write,
    a_broken_unique_constraint_is_told,
    a_request_that_was_answered_is_found_again,
    a_request_id_with_another_body_is_refused,
    one_request_sent_many_times_at_once_happens_once,
    old_requests_are_forgotten,
    opening_again_finds_what_was_written,
    the_databases_clock_is_about_right,
}

#[derive(Debug, thiserror::Error)]
enum TestError {
    #[error("refused on purpose")]
    Refused,
    #[error(transparent)]
    Reused(#[from] Reused),
    #[error(transparent)]
    Database(#[from] Error),
}

impl StoreError for TestError {
    fn database(&self) -> Option<&Error> {
        match self {
            Self::Database(error) => Some(error),
            Self::Refused | Self::Reused(_) => None,
        }
    }
}

async fn count(database: &Database) -> i64 {
    let mut connection = database.read().await.unwrap();
    let sql = "SELECT coalesce(max(value), 0) FROM counters";
    connection
        .fetch_one::<(i64,)>(sql, args![])
        .await
        .unwrap()
        .0
}

async fn increment(database: &Database) -> Result<i64, Error> {
    transaction!(database, |tx| {
        tx.execute(
            "INSERT INTO counters VALUES ('n', 0) ON CONFLICT DO NOTHING",
            args![],
        )
        .await?;
        let sql = "UPDATE counters SET value = value + 1 WHERE name = 'n' RETURNING value";
        Ok(tx.fetch_one::<(i64,)>(sql, args![]).await?.0)
    })
}

async fn what_a_failed_transaction_did_is_gone(test: TestDatabase) {
    let outcome: Result<(), TestError> = transaction!(test.database, |tx| {
        tx.execute("INSERT INTO counters VALUES ('n', 1)", args![])
            .await?;
        Err(TestError::Refused)
    });
    assert!(matches!(outcome, Err(TestError::Refused)));
    assert_eq!(count(&test.database).await, 0);
}

async fn values_come_back_as_they_went_in(test: TestDatabase) {
    type Row = (i64, Option<String>, Option<Vec<u8>>, Option<Uuid>, bool);
    let now = Environment::system().now();
    let uuid = Environment::system().new_uuid();
    let insert = "INSERT INTO things VALUES ($1, $2, $3, $4, $5)";
    let write = async |id: i64, text: Option<&str>, bytes: Option<Vec<u8>>, uuid: Option<Uuid>| {
        let written: Result<u64, Error> = transaction!(test.database, |tx| {
            tx.execute(insert, args![id, text, bytes.clone(), uuid, text.is_some()])
                .await
        });
        assert_eq!(written.unwrap(), 1);
    };
    write(
        now.timestamp_micros(),
        Some("Grüße ▶"),
        Some(vec![0, 255]),
        Some(uuid),
    )
    .await;
    write(i64::MAX, None, None, None).await;

    let mut connection = test.database.read().await.unwrap();
    let rows = connection
        .fetch_all::<Row>("SELECT * FROM things ORDER BY id", args![])
        .await
        .unwrap();
    assert_eq!(time(rows[0].0).unwrap(), now);
    assert_eq!(rows[0].1.as_deref(), Some("Grüße ▶"));
    assert_eq!(rows[0].2.as_deref(), Some(&[0, 255][..]));
    assert_eq!((rows[0].3, rows[0].4), (Some(uuid), true));
    assert_eq!(rows[1], (i64::MAX, None, None, None, false));
}

async fn sixteen_racers_count_without_gaps(test: TestDatabase) {
    let racers = (0..16).map(|_| increment(&test.database));
    let mut numbers = join_all(racers)
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
}

async fn a_snapshot_stays_as_it_was_while_others_write(test: TestDatabase) {
    increment(&test.database).await.unwrap();
    let mut snapshot = test.database.snapshot().await.unwrap();
    let value = async |connection: &mut Connection| {
        let sql = "SELECT value FROM counters";
        connection.fetch_one::<(i64,)>(sql, args![]).await.unwrap()
    };
    assert_eq!(value(&mut snapshot).await, (1,));
    increment(&test.database).await.unwrap();
    assert_eq!(value(&mut snapshot).await, (1,));
    let write = "INSERT INTO counters VALUES ('m', 1)";
    assert!(snapshot.execute(write, args![]).await.is_err());
    drop(snapshot);
    let mut later = test.database.snapshot().await.unwrap();
    assert_eq!(value(&mut later).await, (2,));
}

async fn a_broken_unique_constraint_is_told(test: TestDatabase) {
    let insert = async || {
        let sql = "INSERT INTO counters VALUES ('n', 1)";
        transaction!(test.database, |tx| tx.execute(sql, args![]).await)
    };
    insert().await.unwrap();
    let error: Error = insert().await.unwrap_err();
    assert!(error.is_unique_violation(), "{error:?}");
}

fn request(id: Uuid, body: &str) -> Request {
    let alice = Principal::user("alice").unwrap();
    Request::new(
        &alice,
        "Increment",
        &"n",
        RequestId::new(id),
        &body.to_owned(),
    )
}

async fn increment_once(database: &Database, request: &Request) -> Result<String, TestError> {
    let now = Environment::system().now();
    transaction!(database, |tx| {
        if let Some(outcome) = requests::replay::<TestError>(tx, Some(request)).await? {
            return Ok(outcome);
        }
        tx.execute(
            "INSERT INTO counters VALUES ('n', 0) ON CONFLICT DO NOTHING",
            args![],
        )
        .await?;
        let sql = "UPDATE counters SET value = value + 1 WHERE name = 'n' RETURNING value";
        let (value,) = tx.fetch_one::<(i64,)>(sql, args![]).await?;
        requests::remember(tx, Some(request), &value, now).await?;
        Ok(value.to_string())
    })
}

async fn a_request_that_was_answered_is_found_again(test: TestDatabase) {
    let request = request(Environment::system().new_uuid(), "a");
    assert_eq!(increment_once(&test.database, &request).await.unwrap(), "1");
    increment(&test.database).await.unwrap();
    assert_eq!(increment_once(&test.database, &request).await.unwrap(), "1");
    assert_eq!(count(&test.database).await, 2);
}

async fn a_request_id_with_another_body_is_refused(test: TestDatabase) {
    let id = Environment::system().new_uuid();
    increment_once(&test.database, &request(id, "a"))
        .await
        .unwrap();
    let error = increment_once(&test.database, &request(id, "b"))
        .await
        .unwrap_err();
    assert!(matches!(error, TestError::Reused(_)), "{error:?}");
    assert_eq!(count(&test.database).await, 1);
}

async fn one_request_sent_many_times_at_once_happens_once(test: TestDatabase) {
    let request = request(Environment::system().new_uuid(), "a");
    let outcomes = join_all((0..8).map(|_| increment_once(&test.database, &request))).await;
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap() == "1"));
    assert_eq!(count(&test.database).await, 1);
}

async fn old_requests_are_forgotten(test: TestDatabase) {
    let request = request(Environment::system().new_uuid(), "a");
    increment_once(&test.database, &request).await.unwrap();
    let now = Environment::system().now();
    assert_eq!(requests::forget_old(&test.database, now).await.unwrap(), 0);
    let later = now + requests::KEPT_FOR + chrono::TimeDelta::seconds(1);
    assert_eq!(
        requests::forget_old(&test.database, later).await.unwrap(),
        1
    );
}

async fn opening_again_finds_what_was_written(test: TestDatabase) {
    increment(&test.database).await.unwrap();
    test.database.close().await;
    drop(test.database);
    let again = Database::open(&test.url, "reprise_test", 2, &MIGRATIONS)
        .await
        .unwrap();
    assert_eq!(count(&again).await, 1);
}

async fn the_databases_clock_is_about_right(test: TestDatabase) {
    let mut connection = test.database.read().await.unwrap();
    let earlier = connection.database_time().await.unwrap();
    let here: DateTime<Utc> = Environment::system().now();
    assert!(
        (here - earlier).abs() < chrono::TimeDelta::minutes(1),
        "{earlier} {here}"
    );
    assert!(connection.database_time().await.unwrap() >= earlier);
}

#[tokio::test]
async fn a_sqlite_file_belongs_to_one_process() {
    let test = TestDatabase::sqlite(&MIGRATIONS).await;
    let error = Database::open(&test.url, "reprise_test", 2, &MIGRATIONS)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error:?}");
}

#[tokio::test]
async fn a_readers_connection_cannot_write() {
    let test = TestDatabase::sqlite(&MIGRATIONS).await;
    let mut connection = test.database.read().await.unwrap();
    assert!(
        connection
            .execute("INSERT INTO counters VALUES ('n', 1)", args![])
            .await
            .is_err()
    );
}

#[cfg(feature = "test-postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_at_once_make_one_schema() {
    let url = crate::testing::new_postgres_database()
        .await
        .parse()
        .unwrap();
    let open = || Database::open(&url, "reprise_test", 2, &MIGRATIONS);
    for opened in join_all((0..4).map(|_| open())).await {
        opened.unwrap();
    }
}

#[cfg(feature = "test-postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_stands_still_does_not_hold_up_the_others_for_ever() {
    let test = TestDatabase::postgres(&MIGRATIONS).await;
    increment(&test.database).await.unwrap();
    let mut still = test.database.begin().await.unwrap();
    let lock = "UPDATE counters SET value = value";
    still.execute(lock, args![]).await.unwrap();

    // One who comes at once is told after a while; later the row is free.
    let waiting = increment(&test.database).await.unwrap_err();
    let status = tonic::Status::from(Problem::from(waiting));
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(increment(&test.database).await.unwrap(), 2);

    let ended = still.execute(lock, args![]).await.unwrap_err();
    let status = tonic::Status::from(Problem::from(ended));
    assert_eq!(status.code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_not_waited_for_for_ever() {
    let never = futures::future::pending::<Result<(), sqlx::Error>>();
    let error = super::within(std::time::Duration::from_millis(1), never).await;
    let status = tonic::Status::from(Problem::from(error.unwrap_err()));
    assert_eq!(status.code(), tonic::Code::Unavailable);
}

/// As a proxy does whose server is away.
#[tokio::test]
async fn a_database_that_hangs_up_at_once_is_away_and_not_broken() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hang_up = async {
        loop {
            drop(listener.accept().await.unwrap());
        }
    };
    let url = format!("postgres://user@{address}/database")
        .parse()
        .unwrap();
    let open = Database::open(&url, "reprise_test", 2, &MIGRATIONS);
    let error = tokio::select! {
        opened = open => opened.unwrap_err(),
        () = hang_up => unreachable!(),
    };
    let status = tonic::Status::from(Problem::from(error));
    assert_eq!(status.code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn a_connection_that_does_not_come_back_does_not_keep_a_database_open() {
    let test = TestDatabase::sqlite(&MIGRATIONS).await;
    let _lent = test.database.read().await.unwrap();
    test.database.close().await;
    assert!(test.database.read().await.is_err());
}

#[test]
fn the_text_of_a_driver_stays_in_the_log() {
    let error = Error::corrupt("the column secret_column");
    let status = tonic::Status::from(Problem::from(error));
    assert!(
        !format!("{status:?}").contains("secret_column"),
        "{status:?}"
    );
}

#[test]
fn a_url_says_which_database_and_hides_its_password() {
    let url = "postgres://u:hunter2@h/d"
        .parse::<super::DatabaseUrl>()
        .unwrap();
    assert!(!format!("{url:?}").contains("hunter2"));
    assert!("sqlite:some/file.db".parse::<super::DatabaseUrl>().is_ok());
    for wrong in ["", "sqlite:", "sqlite::memory:", "mysql://h/d", "file.db"] {
        assert!(wrong.parse::<super::DatabaseUrl>().is_err(), "{wrong}");
    }
}

/// Handlers must be `Send`: a transaction whose body borrows what it needs must be, too.
#[tokio::test]
async fn a_transaction_can_move_between_threads() {
    fn must_be_send<T: Send>(future: T) -> T {
        future
    }
    let test = must_be_send(TestDatabase::sqlite(&MIGRATIONS)).await;
    let request = request(Environment::system().new_uuid(), "a");
    must_be_send(increment_once(&test.database, &request))
        .await
        .unwrap();
}
