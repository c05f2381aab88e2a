use proto::authorization::v1::consistency::Requirement;
use proto::authorization::v1::permission_result;
use proto::authorization::v1::{
    BatchCheckPermissionsRequest, CheckPermissionRequest, Consistency, PermissionQuestion,
};

use super::{Wrong, each_is_told, huge};
use crate::harness::refusal::done;
use crate::harness::{DEPLOYMENT, Setup, refused};

on_both_databases!(a_check_tells_all_that_is_wrong);

async fn a_check_tells_all_that_is_wrong(setup: Setup) {
    let stack = setup.start().await;
    let admin = stack.person("admin");
    fn asked(requirement: Requirement) -> Option<Consistency> {
        Some(Consistency {
            requirement: Some(requirement),
        })
    }
    let wrongs: &[Wrong<CheckPermissionRequest>] = &[
        ("no permission", |r| r.permission.clear(), &["permission"]),
        (
            "an unknown permission",
            |r| r.permission = "deployment.fly".into(),
            &["permission"],
        ),
        (
            "a huge permission",
            |r| r.permission = huge(),
            &["permission"],
        ),
        ("no resource", |r| r.resource.clear(), &["resource"]),
        (
            "an unknown resource",
            |r| r.resource = "galaxies/andromeda".into(),
            &["resource"],
        ),
        (
            "a freshness that is none",
            |r| r.consistency = asked(Requirement::AtLeastAsFresh(-1)),
            &["consistency.at_least_as_fresh"],
        ),
        (
            "everything",
            |r| {
                r.permission = "!".into();
                r.resource = "\0".into();
                r.consistency = asked(Requirement::FullyConsistent(false));
            },
            &["permission", "resource", "consistency.fully_consistent"],
        ),
    ];
    let good = CheckPermissionRequest {
        permission: "deployment.dags.push".to_owned(),
        resource: DEPLOYMENT.to_owned(),
        ..CheckPermissionRequest::default()
    };
    let send = async |request| admin.authorization().check_permission(request).await;
    each_is_told(good.clone(), wrongs, send).await;
    assert!(done(send(good).await).decision.unwrap().allowed);

    let batch = |questions| BatchCheckPermissionsRequest {
        questions,
        ..Default::default()
    };
    let question = |permission: &str| PermissionQuestion {
        permission: permission.to_owned(),
        resource: DEPLOYMENT.to_owned(),
    };
    for many in [0, 1_001] {
        let request = batch(vec![question("deployment.dags.push"); many]);
        refused(admin.authorization().batch_check_permissions(request).await)
            .names_fields(&["questions"]);
    }
    // A question that cannot be decided does not stand in the way of the others, and is no yes.
    let request = batch(vec![
        question("deployment.fly"),
        question("deployment.dags.push"),
    ]);
    let answers = done(admin.authorization().batch_check_permissions(request).await).results;
    let answers = answers.into_iter().map(|answer| answer.result.unwrap());
    let [unknown, known] = answers.collect::<Vec<_>>().try_into().unwrap();
    assert!(matches!(unknown, permission_result::Result::Error(error) if error.code == 3));
    assert!(matches!(known, permission_result::Result::Decision(decision) if decision.allowed));
}
