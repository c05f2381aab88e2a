use chassis::on_both_databases;
use chassis::testing::TestDatabase;

use super::*;

on_both_databases!(crate::store::MIGRATIONS;
    a_rollback_is_written_at_the_first_attempt,
    an_outage_is_tried_again_with_a_renewed_permit,
    a_lost_answer_is_found_by_trying_again,
    an_expired_permit_is_renewed_once,
    a_person_who_lost_the_permission_fails_the_rollback,
);

async fn a_rollback_is_written_at_the_first_attempt(db: TestDatabase) {
    let bench = bench(&db).await;
    let rollback = carried_out(&bench.replica(patience()), new_rollback(long())).await;
    assert!(is_written(&rollback));
    assert_eq!(bench.fake_registry.state().permits, ["first"]);
    assert_eq!(bench.fake_registry.state().close_calls, 0);
    let kinds = rollback
        .steps
        .iter()
        .map(|step| step.kind)
        .collect::<Vec<_>>();
    assert_eq!(kinds, StepKind::ALL);
    assert!(
        rollback
            .steps
            .iter()
            .all(|step| step.end_time.is_some() && step.error.is_none())
    );
}

async fn an_outage_is_tried_again_with_a_renewed_permit(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().writes.extend([
        Act::Fail(Status::unavailable("down")),
        Act::Fail(Status::internal("broken")),
        Act::Fail(Status::unauthenticated("who?")),
    ]);
    bench
        .fake_authorization
        .state()
        .permit_errors
        .push_back(Status::unavailable("down"));
    let rollback = carried_out(&bench.replica(patience()), new_rollback(long())).await;
    assert!(is_written(&rollback));
    let expected = ["first", "renewed 1", "renewed 2", "renewed 3"];
    assert_eq!(bench.fake_registry.state().permits, expected);
    assert_eq!(attempts(&rollback, StepKind::Write), 5);
    // The first permit, one renewal that failed, and three.
    assert_eq!(attempts(&rollback, StepKind::Authorize), 5);
}

async fn a_lost_answer_is_found_by_trying_again(db: TestDatabase) {
    let bench = bench(&db).await;
    bench
        .fake_registry
        .state()
        .writes
        .push_back(Act::ObeyAndLoseTheAnswer);
    let rollback = carried_out(&bench.replica(patience()), new_rollback(long())).await;
    assert!(is_written(&rollback));
    assert_eq!(bench.fake_registry.state().deploys.len(), 1);
}

async fn an_expired_permit_is_renewed_once(db: TestDatabase) {
    let bench = bench(&db).await;
    let invalid = refusal(Code::PermissionDenied, ErrorReason::PermitInvalid);
    bench
        .fake_registry
        .state()
        .writes
        .push_back(Act::Fail(invalid.clone()));
    let execution = bench.replica(patience());
    assert!(is_written(
        &carried_out(&execution, new_rollback(long())).await
    ));

    bench
        .fake_registry
        .state()
        .writes
        .extend([Act::Fail(invalid.clone()), Act::Fail(invalid)]);
    let rollback = carried_out(&execution, new_rollback(long())).await;
    assert_eq!(reason(&rollback), ErrorReason::PermitInvalid);
    assert_eq!(attempts(&rollback, StepKind::Write), 2);
}

async fn a_person_who_lost_the_permission_fails_the_rollback(db: TestDatabase) {
    let bench = bench(&db).await;
    bench
        .fake_registry
        .state()
        .writes
        .push_back(Act::Fail(Status::unavailable("down")));
    let lost = refusal(Code::PermissionDenied, ErrorReason::PermissionMissing);
    bench.fake_authorization.state().renewal_error = Some(lost);
    let rollback = carried_out(&bench.replica(patience()), new_rollback(long())).await;
    assert_eq!(reason(&rollback), ErrorReason::PermissionMissing);
    assert!(bench.fake_registry.state().deploys.is_empty());
    let State::Failed { error, .. } = &rollback.state else {
        panic!("it failed")
    };
    let info =
        tonic_types::StatusExt::get_details_error_info(&Status::from(failure::to_problem(error)));
    assert_eq!(
        info.unwrap().metadata["rollback"],
        rollback.name.to_string()
    );
}
