//! One trace id through all three services.

use proto::common::v1::RollbackScope;
use serde_json::Value;
use tonic::Request;

use crate::harness::orders::rollback_to;
use crate::harness::process::Process;
use crate::harness::refusal::done;
use crate::harness::{Orders, Setup, until};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

on_both_databases!(the_callers_trace_id_is_in_the_log_of_all_three_services);

async fn the_callers_trace_id_is_in_the_log_of_all_three_services(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let mut request = Request::new(rollback_to(3, RollbackScope::All));
    let context = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
    request
        .metadata_mut()
        .insert("traceparent", context.parse().unwrap());
    done(orders.dana.orchestrator().create_rollback(request).await);
    let stack = &orders.stack;
    for service in [&stack.orchestrator, &stack.registry, &stack.authorization] {
        until("the line of the log", async || {
            has_traced(service).then_some(())
        })
        .await;
    }
}

fn has_traced(service: &Process) -> bool {
    service
        .log()
        .iter()
        .any(|line| trace_id(line) == Some(TRACE_ID))
}

fn trace_id(line: &Value) -> Option<&str> {
    // A decision stands in the log by itself, after its call.
    let of_decision = line["trace_id"].as_str();
    line["span"]["trace_id"].as_str().or(of_decision)
}
