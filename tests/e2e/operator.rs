//! `buf curl` with reflection, as an operator works who has no proto files.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use prost::Message;
use proto::common::v1::RollbackScope;
use serde_json::{Value, json};
use tonic_types::pb::ErrorInfo;

use crate::harness::orders::rollback_to;
use crate::harness::{DEPLOYMENT, Orders, Person, Setup};

const REGISTRY: &str = "reprise.registry.v1.DeployRegistryService";
const ROLLBACK: &str = "reprise.rollback.v1.RollbackService";

#[tokio::test]
async fn an_operator_gets_along_with_reflection_alone() {
    let orders = Orders::with_history(Setup::sqlite()).await;
    orders
        .dana
        .roll_back(rollback_to(3, RollbackScope::All))
        .await;
    let stack = &orders.stack;

    for (service, address) in [
        (REGISTRY, stack.registry.address),
        (ROLLBACK, stack.orchestrator.address),
        (
            "reprise.authorization.v1.AuthorizationService",
            stack.authorization.address,
        ),
    ] {
        let listed = buf_curl(address, &["--list-methods"], "").await;
        let listed = String::from_utf8(listed.stdout).unwrap();
        for name in [service, "grpc.health.v1.Health/Check"] {
            assert!(listed.contains(name), "{name} is not in\n{listed}");
        }
    }

    let body = json!({"parent": DEPLOYMENT, "pageSize": 2});
    let method = format!("{REGISTRY}/ListDeploys");
    let page = call(&orders.dana, stack.registry.address, &method, &body).await;
    let page = serde_json::from_slice::<Value>(&page.stdout).unwrap();
    assert_eq!(page["deploys"][0]["trigger"], "DEPLOY_TRIGGER_ROLLBACK");
    assert_eq!(page["deploys"][1]["number"], "5");
    assert!(page["nextPageToken"].is_string());

    let body = json!({
        "parent": DEPLOYMENT,
        "targetDeploy": format!("{DEPLOYMENT}/deploys/2"),
        "scope": "ROLLBACK_SCOPE_ALL",
        "description": "to see what happens",
    });
    let method = format!("{ROLLBACK}/CreateRollback");
    let refusal = call(&orders.sam, stack.orchestrator.address, &method, &body).await;
    assert!(!refusal.status.success());
    let told = serde_json::from_slice::<Value>(&refusal.stderr).unwrap();
    assert_eq!(told["code"], "permission_denied");
    let details = told["details"].as_array().unwrap();
    let info = details
        .iter()
        .find(|detail| detail["type"] == "google.rpc.ErrorInfo")
        .unwrap();
    // buf shows the bytes; clients that look types up show the fields.
    let info = BASE64_STANDARD_NO_PAD
        .decode(info["value"].as_str().unwrap())
        .unwrap();
    let info = ErrorInfo::decode(info.as_slice()).unwrap();
    assert_eq!(info.reason, "PERMISSION_MISSING");
    assert_eq!(info.metadata["permissions"], "deployment.images.push");
    assert_eq!(info.metadata["open_scopes"], "DAGS");

    let body = json!({"fileContainingSymbol": "google.rpc.ErrorInfo"});
    let method = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let found = call(&orders.sam, stack.orchestrator.address, method, &body).await;
    let found = serde_json::from_slice::<Value>(&found.stdout).unwrap();
    assert!(found["fileDescriptorResponse"].is_object(), "{found}");
}

async fn call(person: &Person, address: SocketAddr, method: &str, body: &Value) -> Output {
    let bearer = format!("authorization: Bearer {}", person.token);
    let body = body.to_string();
    buf_curl(address, &["--header", &bearer, "--data", &body], method).await
}

async fn buf_curl(address: SocketAddr, arguments: &[&str], method: &str) -> Output {
    let mut command = Command::new("buf");
    command
        .env("PATH", path())
        .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"])
        .args(arguments)
        .arg(format!("http://{address}/{method}"));
    tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap_or_else(|error| panic!("buf cannot be run; tests/run installs it: {error}"))
}

/// Beside what everybody has, where `tests/run` installs tools.
pub(crate) fn path() -> OsString {
    let installed =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/node_modules/.bin");
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(installed).chain(std::env::split_paths(&usual));
    std::env::join_paths(all).unwrap()
}
