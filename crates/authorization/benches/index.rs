//! What the policy in memory costs: `cargo bench -p authorization --features benchmark`.
//!
//! divan, because it counts allocations as well as time, with little code of its own.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has failed"
)]

use std::sync::LazyLock;

use authorization::benchmark::{Person, Policy, Rows, TABLES};
use chassis::testing::TestDatabase;
use divan::{AllocProfiler, Bencher, black_box};
use model::names::ResourceName;
use model::permissions::Permission;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

static ROWS: LazyLock<Rows> = LazyLock::new(Rows::large);
static POLICY: LazyLock<Policy> = LazyLock::new(|| ROWS.clone().build());

fn main() {
    LazyLock::force(&POLICY);
    divan::main();
}

/// From the rows of a database to an index: `max alloc` is what it takes besides the rows.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn build(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(|| ROWS.clone())
        .bench_values(Rows::build);
}

/// The reading of all rows from SQLite.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(TestDatabase::sqlite(TABLES));
    let reader = runtime.block_on(ROWS.clone().store(&database.database));
    bencher.bench_local(|| runtime.block_on(reader.read()));
}

const CONFIG_GET: Permission = Permission::DeploymentConfigGet;

fn deployment(number: usize) -> ResourceName {
    let workspace = number % 50;
    format!("workspaces/workspace-{workspace}/deployments/deployment-{number}")
        .parse()
        .unwrap()
}

/// One check whose answer is known.
fn check(bencher: Bencher<'_, '_>, person: &Person, question: (Permission, usize), allowed: bool) {
    let (permission, number) = question;
    let questions = [(permission, deployment(number))];
    assert_eq!(POLICY.check(person, &questions), usize::from(allowed));
    bencher.bench(|| POLICY.check(black_box(person), black_box(&questions)));
}

/// The first binding of the benchmark's policy.
#[divan::bench]
fn allowed_by_own_binding(bencher: Bencher<'_, '_>) {
    let person = Person::new("user:user-0@example.com", &[]);
    check(bencher, &person, (CONFIG_GET, 0), true);
}

/// The eleventh binding, by the last of ten groups.
#[divan::bench]
fn allowed_by_a_group(bencher: Bencher<'_, '_>) {
    let group = format!("group:group-{}@example.com", 79_191 % 200);
    let mut groups = vec!["group:unknown"; 9];
    groups.push(&group);
    let person = Person::new("user:unknown", &groups);
    check(
        bencher,
        &person,
        (CONFIG_GET, (79_190 / 64 + 10) % 1_000),
        true,
    );
}

#[divan::bench]
fn denied(bencher: Bencher<'_, '_>) {
    let person = Person::new("user:user-0@example.com", &[]);
    check(bencher, &person, (Permission::DeploymentDagsPush, 1), false);
}

/// 1,000 questions, all about other Deployments, nearly all denied, with 1,000 custom roles to
/// look through for what would help.
#[divan::bench]
fn batch_of_1000(bencher: Bencher<'_, '_>) {
    let person = Person::new("user:user-0@example.com", &["group:group-8@example.com"]);
    let push = Permission::DeploymentDagsPush;
    let questions = (0..1_000).map(|number| (push, deployment(number)));
    let questions = questions.collect::<Vec<_>>();
    bencher.bench(|| POLICY.check(black_box(&person), black_box(&questions)));
}
