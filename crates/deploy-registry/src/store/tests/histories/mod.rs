//! The store against a model of the history: random calls, and after each of them what must hold.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`steps`] | what can happen |
//! | [`expected`] | the model: what a step does and refuses, worked out the simple way |
//! | [`found`] | what the store has afterwards, and how both are compared |

mod expected;
mod found;
mod steps;

use chassis::testing::TestDatabase;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use self::expected::Model;
use self::found::World;
use self::steps::{Step, steps};
use crate::domain::Delivery;

/// Makes the steps on the store and on the model, and compares them after each.
async fn live(database: TestDatabase, delivery: Delivery, steps: Vec<Step>) {
    let mut world = World::new(database, delivery).await;
    let mut model = Model::new(delivery);
    for (place, step) in steps.iter().enumerate() {
        let expected = model.take(step);
        let outcome = world.take(step).await;
        assert_eq!(outcome, expected, "step {place}, {step:?}, of {steps:?}");
        world.compare(&model).await;
    }
}

/// Runs so many histories, each on a database of its own.
fn run<F: Future<Output = TestDatabase>>(cases: u32, database: impl Fn() -> F) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    let deliveries = prop_oneof![Just(Delivery::Record), Just(Delivery::Agent)];
    let lived = TestRunner::new(config).run(&(deliveries, steps()), |(delivery, steps)| {
        runtime.block_on(async { live(database().await, delivery, steps).await });
        Ok(())
    });
    lived.unwrap();
}

#[test]
fn a_random_history_is_what_the_model_says() {
    run(48, || TestDatabase::sqlite(&crate::store::MIGRATIONS));
}

#[cfg(feature = "test-postgres")]
#[test]
fn a_random_history_on_postgres_is_what_the_model_says() {
    run(12, || TestDatabase::postgres(&crate::store::MIGRATIONS));
}
