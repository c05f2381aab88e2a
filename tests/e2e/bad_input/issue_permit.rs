use model::names::ServiceName;
use proto::authorization::v1::IssuePermitRequest;
use proto::authorization::v1::issue_permit_request::Authority;
use proto::common::v1::RollbackScope;

use super::{Wrong, each_is_told, huge};
use crate::harness::{DEPLOYMENT, Orders, Setup};

on_both_databases!(issue_permit_tells_all_that_is_wrong);

async fn issue_permit_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let write = orders.write(DEPLOYMENT, 3, RollbackScope::All).await;
    let good = orders.permit_request(&orders.dana, &write).await;
    const ELSEWHERE: &str = "workspaces/acme/deployments/billing/deploys/1";
    let wrongs: &[Wrong<IssuePermitRequest>] = &[
        ("no rollback", |r| r.rollback.clear(), &["rollback"]),
        ("nobody", |r| r.authority = None, &["authority"]),
        (
            "no grant",
            |r| r.authority = Some(Authority::Grant(false)),
            &["grant"],
        ),
        (
            "a huge token",
            |r| r.authority = Some(Authority::SubjectToken(huge())),
            &["subject_token"],
        ),
        (
            "no uid",
            |r| r.deployment_uid = "7".into(),
            &["deployment_uid"],
        ),
        (
            "a target elsewhere",
            |r| r.target_deploy = ELSEWHERE.into(),
            &["target_deploy"],
        ),
        (
            "a target of the future",
            |r| r.target_deploy = format!("{DEPLOYMENT}/deploys/6"),
            &["target_deploy"],
        ),
        ("no scope", |r| r.scope = 99, &["scope"]),
        ("no permission", |r| r.permissions.clear(), &["permissions"]),
        (
            "a permission for something else",
            |r| r.permissions = vec!["system.iam.update".into()],
            &["permissions"],
        ),
        (
            "a huge digest",
            |r| r.revision_digest = huge(),
            &["revision_digest"],
        ),
        ("no plan", |r| r.plan_digest.clear(), &["plan_digest"]),
        (
            "a grant and fields",
            |r| r.authority = Some(Authority::Grant(true)),
            &[
                "deployment_uid",
                "target_deploy",
                "expected_latest_deploy",
                "scope",
                "permissions",
                "revision_digest",
                "plan_digest",
            ],
        ),
    ];
    let orchestrator = orders.stack.service(
        ServiceName::RollbackOrchestrator,
        ServiceName::Authorization,
    );
    let send = async |request| orchestrator.authorization().issue_permit(request).await;
    each_is_told(good, wrongs, send).await;
}
