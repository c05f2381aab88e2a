//! What is wrong is told, all of it at once, and changes nothing.

mod checks;
mod create_deploy;
mod create_deployment;
mod create_rollback_deploy;
mod idempotency;
mod issue_permit;
mod names;
mod orchestrator;
mod pages;
mod roles;
mod rollbacks;
mod service_accounts;
mod upload_dag_bundle;
mod watch_deploys;

use tonic::{Response, Status};

use crate::harness::refused;

/// No field takes this much.
fn huge() -> String {
    "x".repeat(100_000)
}

/// A case: what is wrong, how a request gets it, and the fields that must be named.
type Wrong<R> = (&'static str, fn(&mut R), &'static [&'static str]);

/// Sends a good request with each of the wrongs.
async fn each_is_told<R: Clone, T>(
    good: R,
    wrongs: &[Wrong<R>],
    send: impl AsyncFn(R) -> Result<Response<T>, Status>,
) {
    for (what, spoil, fields) in wrongs {
        let mut bad = good.clone();
        spoil(&mut bad);
        refused(send(bad).await).when(what).names_fields(fields);
    }
}

/// Names that are none, whatever they should name.
fn no_names() -> Vec<String> {
    let mut names = [
        "",
        "/",
        "orders",
        "workspaces",
        "workspaces/",
        "workspaces/acme/",
        "workspaces//deployments/orders",
        "/workspaces/acme/deployments/orders",
        "Workspaces/acme/deployments/orders",
        "workspaces/ACME/deployments/orders",
        "workspaces/acme/deployments/or ders",
        "workspaces/acme/deployments/orders\0",
        "workspaces/acme/deployments/örders",
        "workspaces/acme/deployments/../orders",
        "workspaces/acme/deployments/orders/deploys/0",
        "workspaces/acme/deployments/orders/deploys/-1",
        "workspaces/acme/deployments/orders/deploys/01",
        "workspaces/acme/deployments/orders/deploys/9223372036854775808",
        "workspaces/acme/deployments/orders/dagBundles/ABC",
        "workspaces/acme/deployments/orders/rollbacks/1",
        "workspaces/acme/deployments/orders/rollbacks/00000000-0000-4000-8000-00000000000g",
        "' OR 1=1 --",
        "%",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push(huge());
    names
}

/// Sends each of the names that are none.
async fn no_name_is_taken<T>(
    field: &str,
    send: impl AsyncFn(String) -> Result<Response<T>, Status>,
) {
    for name in no_names() {
        let refusal = refused(send(name.clone()).await);
        refusal.when(&name).names_fields(&[field]);
    }
}
