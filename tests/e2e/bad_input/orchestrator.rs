use prost_types::Timestamp;
use proto::common::v1::RollbackScope;
use proto::registry::v1::FindDeployRequest;
use proto::registry::v1::find_deploy_request::By;
use proto::rollback::v1::create_rollback_request::Target;
use proto::rollback::v1::plan_rollback_request::Target as PlanTarget;
use proto::rollback::v1::{
    CreateRollbackRequest, GetRollbackRequest, ListRollbackTargetsRequest, PlanRollbackRequest,
};

use super::{Wrong, each_is_told, huge};
use crate::harness::orders::rollback_to;
use crate::harness::refusal::done;
use crate::harness::requests::{self, deploy};
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(
    create_rollback_tells_all_that_is_wrong,
    plan_rollback_tells_all_that_is_wrong,
    list_rollback_targets_tells_all_that_is_wrong,
    what_is_not_there_is_not_found,
);

/// No calendar has it.
const NEVER: Timestamp = Timestamp {
    seconds: i64::MAX,
    nanos: 0,
};

const ELSEWHERE: &str = "workspaces/acme/deployments/billing/deploys/1";

async fn create_rollback_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let wrongs: &[Wrong<CreateRollbackRequest>] = &[
        ("no target", |r| r.target = None, &["target_deploy"]),
        (
            "deploy 0",
            |r| r.target = Some(Target::TargetDeploy(deploy(DEPLOYMENT, 0))),
            &["target_deploy"],
        ),
        (
            "a target elsewhere",
            |r| r.target = Some(Target::TargetDeploy(ELSEWHERE.into())),
            &["target_deploy"],
        ),
        (
            "previous that is not meant",
            |r| r.target = Some(Target::Previous(false)),
            &["previous"],
        ),
        (
            "no time that there is",
            |r| r.target = Some(Target::AsOf(NEVER)),
            &["as_of"],
        ),
        ("no scope", |r| r.scope = 0, &["scope"]),
        ("an unknown scope", |r| r.scope = 99, &["scope"]),
        ("no reason", |r| r.description.clear(), &["description"]),
        (
            "a blank reason",
            |r| r.description = " \n".into(),
            &["description"],
        ),
        (
            "a reason with NUL",
            |r| r.description = "why\0".into(),
            &["description"],
        ),
        (
            "a reason of 501",
            |r| r.description = "é".repeat(501),
            &["description"],
        ),
        (
            "a request_id of nobody",
            |r| r.request_id = "now".into(),
            &["request_id"],
        ),
        (
            "a plan of nobody",
            |r| r.plan_digest = "sha256:00".into(),
            &["plan_digest"],
        ),
        ("a huge plan", |r| r.plan_digest = huge(), &["plan_digest"]),
        (
            "warnings that there are not",
            |r| r.acknowledged_warnings = vec![1, 0, 99, -1],
            &[
                "acknowledged_warnings[1]",
                "acknowledged_warnings[2]",
                "acknowledged_warnings[3]",
            ],
        ),
        (
            "too many warnings",
            |r| r.acknowledged_warnings = vec![1; 1_000],
            &["acknowledged_warnings"],
        ),
        (
            "everything",
            |r| {
                *r = CreateRollbackRequest {
                    parent: DEPLOYMENT.into(),
                    request_id: "!".into(),
                    plan_digest: "!".into(),
                    acknowledged_warnings: vec![99],
                    ..CreateRollbackRequest::default()
                }
            },
            &[
                "target_deploy",
                "scope",
                "description",
                "request_id",
                "plan_digest",
                "acknowledged_warnings[0]",
            ],
        ),
    ];
    let good = rollback_to(3, RollbackScope::All);
    let send = async |request| orders.dana.orchestrator().create_rollback(request).await;
    each_is_told(good.clone(), wrongs, send).await;

    let trial = CreateRollbackRequest {
        validate_only: true,
        ..good
    };
    let shown = done(send(trial).await).rollback.unwrap();
    assert_eq!(shown.deploy, "");
    assert_eq!(orders.latest().await, 5, "nothing was rolled back");
    let plan = orders.dana.plan(DEPLOYMENT, 3, RollbackScope::All).await;
    assert_eq!(plan.blockers, [], "nothing is pending");
}

async fn plan_rollback_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let wrongs: &[Wrong<PlanRollbackRequest>] = &[
        ("no target", |r| r.target = None, &["target_deploy"]),
        (
            "a target elsewhere",
            |r| r.target = Some(PlanTarget::TargetDeploy(ELSEWHERE.into())),
            &["target_deploy"],
        ),
        (
            "previous that is not meant",
            |r| r.target = Some(PlanTarget::Previous(false)),
            &["previous"],
        ),
        (
            "no time that there is",
            |r| r.target = Some(PlanTarget::AsOf(NEVER)),
            &["as_of"],
        ),
        ("no scope", |r| r.scope = 0, &["scope"]),
        ("a negative scope", |r| r.scope = -1, &["scope"]),
        (
            "everything",
            |r| (r.target, r.scope) = (Some(PlanTarget::TargetDeploy(huge())), 4),
            &["target_deploy", "scope"],
        ),
    ];
    let good = requests::plan(DEPLOYMENT, 3, RollbackScope::All);
    let send = async |request| orders.dana.orchestrator().plan_rollback(request).await;
    each_is_told(good, wrongs, send).await;
}

async fn list_rollback_targets_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let wrongs: &[Wrong<ListRollbackTargetsRequest>] = &[
        ("a negative page", |r| r.page_size = -1, &["page_size"]),
        (
            "a page of nobody",
            |r| r.page_token = "AAAAAAAAAAAAAA".into(),
            &["page_token"],
        ),
        ("a huge token", |r| r.page_token = huge(), &["page_token"]),
        (
            "no time that there is",
            |r| r.as_of = Some(NEVER),
            &["as_of"],
        ),
        (
            "everything",
            |r| (r.page_size, r.page_token, r.as_of) = (i32::MIN, "!".into(), Some(NEVER)),
            &["page_size", "page_token", "as_of"],
        ),
    ];
    let good = ListRollbackTargetsRequest {
        parent: DEPLOYMENT.to_owned(),
        page_size: 2,
        ..ListRollbackTargetsRequest::default()
    };
    let send = async |request| {
        orders
            .dana
            .orchestrator()
            .list_rollback_targets(request)
            .await
    };
    each_is_told(good.clone(), wrongs, send).await;
    let first = done(send(good.clone()).await);
    // A token goes with its query.
    let wrongs: &[Wrong<ListRollbackTargetsRequest>] = &[
        (
            "another question",
            |r| r.allow_marked_bad = true,
            &["page_token"],
        ),
        (
            "another time",
            |r| r.as_of = Some(Timestamp::default()),
            &["page_token"],
        ),
        (
            "one that was tampered with",
            |r| r.page_token.push_str("eHh4"),
            &["page_token"],
        ),
    ];
    let next = ListRollbackTargetsRequest {
        page_token: first.next_page_token,
        ..good
    };
    each_is_told(next.clone(), wrongs, send).await;
    assert_eq!(done(send(next).await).targets.len(), 2);

    let wrongs: &[Wrong<FindDeployRequest>] = &[
        ("nothing that is meant", |r| r.by = None, &["by"]),
        (
            "no scope",
            |r| r.by = Some(By::PreviousIn(0)),
            &["previous_in"],
        ),
        (
            "an unknown scope",
            |r| r.by = Some(By::PreviousIn(-7)),
            &["previous_in"],
        ),
        (
            "no time that there is",
            |r| r.by = Some(By::AsOf(NEVER)),
            &["as_of"],
        ),
    ];
    let good = FindDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        by: Some(By::PreviousIn(1)),
    };
    let send = async |request| orders.dana.registry().find_deploy(request).await;
    each_is_told(good, wrongs, send).await;
}

async fn what_is_not_there_is_not_found(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let orchestrator = || orders.dana.orchestrator();
    let plan = requests::plan(DEPLOYMENT, 99, RollbackScope::All);
    refused(orchestrator().plan_rollback(plan).await).not_found();
    let request = rollback_to(99, RollbackScope::All);
    refused(orchestrator().create_rollback(request).await).not_found();
    let id = orders.stack.environment.new_uuid();
    let name = format!("{DEPLOYMENT}/rollbacks/{id}");
    let get = GetRollbackRequest { name: name.clone() };
    refused(orchestrator().get_rollback(get).await).not_found();
    refused(orders.dana.cancel(&name).await).not_found();
}
