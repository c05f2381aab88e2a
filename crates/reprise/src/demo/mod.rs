//! `reprise demo`: the main job from end to end, on the real services.
//!
//! It starts the three services in this process, over SQLite in a temporary folder, and from then on
//! talks to them only as any client would: over gRPC, with tokens. Each step checks that it went as
//! it should; the first that did not ends the demo with an error.

#![expect(clippy::print_stdout, reason = "what the demo shows is its result")]

mod bundles;
mod people;
mod show;
mod steps;

use anyhow::{Context, Result};
use chassis::environment::Environment;
use tokio::sync::oneshot;

use crate::stack::{Addresses, Listeners, Stack};
use crate::tokens;
use people::Person;

/// What the demo acts on.
const WORKSPACE: &str = "workspaces/acme";
const DEPLOYMENT: &str = "workspaces/acme/deployments/orders";

/// Runs the demo.
pub(crate) async fn run() -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let environment = Environment::system();
    let listeners = Listeners::open(Addresses::any_port()).await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let mut stack = Stack::start(folder.path(), &[], listeners, environment, async {
        // Resolves, too, when the sender is dropped.
        let _ = stopped.await;
    })?;
    let told = match stack.ready().await {
        Ok(()) => tell(&stack).await,
        Err(error) => Err(error),
    };
    drop(stop);
    let ended = stack.join().await;
    told?;
    ended.context("a service did not stop as it should")
}

async fn tell(stack: &Stack) -> Result<()> {
    let services = stack.addresses();
    println!(
        "Three services run in this process, each with a SQLite database of its own:\n  \
         authorization {}, deploy-registry {}, rollback-orchestrator {}",
        services.authorization, services.registry, services.orchestrator
    );
    let mut admin = person(stack, "admin").await?;
    let mut dana = person(stack, "dana").await?;
    let mut sam = person(stack, "sam").await?;

    step(
        1,
        "An administrator makes a Deployment in the mode DAG_ONLY, and two people",
    );
    steps::make_deployment(&mut admin).await?;
    steps::make_people(&mut admin, &dana, &sam).await?;

    step(
        2,
        "Dana ships five deploys, each DAG bundle a real tarball; the last one breaks things",
    );
    let shipped = steps::ship_five_deploys(&mut dana).await?;

    step(3, "The history, newest first (▶ is what runs now)");
    steps::show_history(&mut dana).await?;

    step(4, "What would a rollback to deploy 3 do?");
    let plan = steps::plan_rollback(&mut dana, &shipped.third).await?;

    step(
        5,
        "Sam may push DAGs, not images, and asks for everything: refused",
    );
    steps::refuse_without_permission(&mut sam, &shipped.third).await?;

    step(6, "Dana rolls back, acknowledging what the plan asks for");
    let rollback = steps::roll_back(&mut dana, &shipped, &plan).await?;

    step(
        7,
        "The DAG bundle that is current now is, byte for byte, the one of deploy 3",
    );
    steps::compare_bundle(&mut dana).await?;

    step(8, "Nobody writes history behind the orchestrator's back");
    let mut orchestrator = orchestrator_itself(stack).await?;
    steps::refuse_without_permit(&mut admin, &mut orchestrator, &shipped, &rollback).await?;

    println!("\nDone: every step went as it should.");
    Ok(())
}

fn step(number: u32, what: &str) {
    println!("\n{number}. {what}");
}

async fn person(stack: &Stack, name: &str) -> Result<Person> {
    let token = tokens::for_person(stack.keyring(), name, stack.environment())?;
    Person::connect(&format!("user:{name}"), &token, &stack.addresses()).await
}

/// A registry client with the orchestrator's own token: what somebody would have who took over its
/// machine, but not the authorization service's.
async fn orchestrator_itself(stack: &Stack) -> Result<steps::Registry> {
    let token = tokens::of_orchestrator(stack.keyring(), stack.environment())?;
    let channel = people::channel(stack.addresses().registry, &token).await?;
    Ok(steps::Registry::new(channel))
}
