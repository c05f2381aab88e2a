//! What a long history costs: `cargo bench -p deploy-registry --features benchmark`.
//!
//! Fills a Deployment with 1,000 deploys, another database with 1,000,000 (or with so many as the variable
//! `REPRISE_BENCHMARK_DEPLOYS` says), and prints how the database goes about each statement there, and how
//! much longer it takes than with 1,000. On SQLite, and with `--features benchmark,test-postgres` on the
//! PostgreSQL server that `REPRISE_TEST_POSTGRES_URL` names.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and one that cannot be set up has failed"
)]

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chassis::testing::{TestDatabase, statements_of};
use deploy_registry::benchmark::{History, Operation, TABLES};

const FEW: i64 = 1_000;
const MANY: i64 = 1_000_000;
const ROUNDS: usize = 300;

#[tokio::main]
async fn main() {
    // As a test, without `--bench`, it only has to build.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let many = std::env::var("REPRISE_BENCHMARK_DEPLOYS");
    let many = many.map_or(MANY, |many| many.parse().unwrap());
    let (few, large) = (TestDatabase::sqlite(TABLES), TestDatabase::sqlite(TABLES));
    compare("SQLite", &few.await, &large.await, many).await;
    #[cfg(feature = "test-postgres")]
    {
        let (few, large) = (
            TestDatabase::postgres(TABLES),
            TestDatabase::postgres(TABLES),
        );
        compare("PostgreSQL", &few.await, &large.await, many).await;
    }
}

async fn compare(kind: &str, few: &TestDatabase, large: &TestDatabase, many: i64) {
    let begun = Instant::now();
    let small = History::fill(&few.database, FEW).await;
    let long = History::fill(&large.database, many).await;
    let filled = begun.elapsed().as_secs();
    println!("\n## {kind}, {many} deploys (filled in {filled} s)\n");
    let mut shown = HashSet::new();
    for operation in Operation::ALL {
        let (found, statements) = statements_of(long.run(operation)).await;
        println!(
            "{operation:?}: {found} rows by {} statements",
            statements.len()
        );
        for statement in statements {
            if !shown.insert(statement.sql) {
                continue;
            }
            let sql = statement.sql.split_whitespace().take(6);
            println!("  {} …", sql.collect::<Vec<_>>().join(" "));
            for line in statement.plan(&large.database).await.unwrap() {
                println!("    {line}");
            }
        }
    }
    println!("\n| {kind} | {FEW} deploys | {many} deploys | ratio |\n| --- | --- | --- | --- |");
    for operation in Operation::ALL {
        let (small, long, ratio) = medians(&small, &long, operation).await;
        println!("| {operation:?} | {small:.1?} | {long:.1?} | {ratio:.2} |");
    }
}

/// How long it takes with few and with many deploys, and how much longer with many. The two take turns, and
/// each turn is compared by itself, so that both have the same machine.
async fn medians(
    small: &History,
    long: &History,
    operation: Operation,
) -> (Duration, Duration, f64) {
    let mut turns = Vec::new();
    for _ in 0..ROUNDS {
        turns.push([time(small, operation).await, time(long, operation).await]);
    }
    let [of_small, of_long] = [0, 1].map(|which| {
        let times = turns.iter().filter_map(|turn| turn.get(which));
        median(times.map(Duration::as_secs_f64).collect())
    });
    let ratios = turns
        .iter()
        .map(|[small, long]| long.as_secs_f64() / small.as_secs_f64());
    (
        Duration::from_secs_f64(of_small),
        Duration::from_secs_f64(of_long),
        median(ratios.collect()),
    )
}

async fn time(history: &History, operation: Operation) -> Duration {
    let begun = Instant::now();
    history.run(operation).await;
    begun.elapsed()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
