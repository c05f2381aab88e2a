//! Reading which items of a list are asked for.

use chassis::filter::{Filter, WrongComparison};

use crate::domain::{
    Delivery, DeployFilter, DeployTest, DeployTrigger, DeployType, DeploymentFilter,
    DeploymentTest, ExecutionMode,
};

/// The deploys that a filter asks for.
pub(super) fn deploys(filter: Filter) -> Result<DeployFilter, WrongComparison> {
    let Filter { comparisons } = filter;
    let tests = comparisons.into_iter().map(|comparison| {
        Ok(match comparison.field.as_str() {
            "type" => DeployTest::Type(comparison.same(
                "IMAGE_AND_DAGS, IMAGE_ONLY, DAGS_ONLY or DBT",
                DeployType::from_text,
            )?),
            "trigger" => DeployTest::Trigger(comparison.same(
                "API, GITHUB, GIT_SYNC or ROLLBACK",
                DeployTrigger::from_text,
            )?),
            "state" => DeployTest::State(comparison.same(
                "PENDING, ROLLING_OUT, DEPLOYED, FAILED or SUPERSEDED",
                |value| value.parse().ok(),
            )?),
            "created_by" => DeployTest::CreatedBy(comparison.text()?),
            "description" => DeployTest::Description(comparison.text()?),
            "create_time" => DeployTest::CreateTime(comparison.time()?),
            _ => return Err(comparison.unknown()),
        })
    });
    tests.collect::<Result<_, _>>().map(DeployFilter)
}

/// The Deployments that a filter asks for.
pub(super) fn deployments(filter: Filter) -> Result<DeploymentFilter, WrongComparison> {
    let Filter { comparisons } = filter;
    let tests = comparisons.into_iter().map(|comparison| {
        if let Some(key) = comparison.field.strip_prefix("labels.") {
            let key = key.to_owned();
            return Ok(DeploymentTest::Label(key, comparison.text()?));
        }
        Ok(match comparison.field.as_str() {
            "display_name" => DeploymentTest::DisplayName(comparison.text()?),
            "created_by" => DeploymentTest::CreatedBy(comparison.text()?),
            "dag_deploy_mode" => DeploymentTest::Mode(
                comparison.same("IMAGE, DAG_ONLY, GIT_SYNC or NFS", |value| {
                    value.parse().ok()
                })?,
            ),
            "delivery" => {
                DeploymentTest::Delivery(comparison.same("RECORD or AGENT", Delivery::from_text)?)
            }
            "execution_mode" => DeploymentTest::ExecutionMode(
                comparison.same("HOSTED or REMOTE", ExecutionMode::from_text)?,
            ),
            "rollback_enabled" => DeploymentTest::RollbackEnabled(
                comparison.same("true or false", |value| value.parse().ok())?,
            ),
            "create_time" => DeploymentTest::CreateTime(comparison.time()?),
            "update_time" => DeploymentTest::UpdateTime(comparison.time()?),
            _ => return Err(comparison.unknown()),
        })
    });
    tests.collect::<Result<_, _>>().map(DeploymentFilter)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::samples::deploy;
    use crate::domain::samples::deployment;

    fn deploys(text: &str) -> Result<DeployFilter, WrongComparison> {
        super::deploys(Filter::parse(text).unwrap())
    }

    fn deployments(text: &str) -> Result<DeploymentFilter, WrongComparison> {
        super::deployments(Filter::parse(text).unwrap())
    }

    #[test]
    fn deploys_are_found_by_what_they_are() {
        let mut found = deploy(1);
        found.description = "Fix the late Rows".to_owned();
        for (text, expected) in [
            ("", true),
            ("type = IMAGE_ONLY", true),
            ("type != IMAGE_ONLY", false),
            ("trigger = API", true),
            ("trigger = ROLLBACK", false),
            ("trigger = GIT_SYNC", false),
            ("trigger != GITHUB", true),
            ("state = DEPLOYED AND state != FAILED", true),
            ("state = DEPLOYED AND state = FAILED", false),
            ("created_by = user:alice@example.com", true),
            ("created_by : ALICE", true),
            ("created_by = alice", false),
            ("description : \"late rows\"", true),
            ("description : early", false),
            ("description = \"Fix the late Rows\"", true),
            ("description != \"\"", true),
            ("create_time >= 2026-01-01T00:00:00.123456Z", true),
            ("create_time > 2026-01-01T00:00:00.123456Z", false),
            ("create_time <= 2026-01-01T01:00:00.123456+01:00", true),
            ("create_time < 2026-01-01T00:00:00Z", false),
        ] {
            let filter = deploys(text).unwrap();
            assert_eq!(filter.lets_through(&found), expected, "{text}");
        }
    }

    #[test]
    fn a_list_ends_where_nothing_older_can_be_asked_for() {
        let mut old = deploy(1);
        old.create_time -= TimeDelta::seconds(1);
        for (text, ends) in [
            ("create_time >= 2026-01-01T00:00:00Z", true),
            (
                "create_time > 2026-01-01T00:00:00Z AND state = FAILED",
                true,
            ),
            ("create_time < 2026-01-01T00:00:00Z", false),
            ("create_time <= 2025-01-01T00:00:00Z", false),
            ("state = FAILED", false),
        ] {
            assert_eq!(deploys(text).unwrap().ends_before(&old), ends, "{text}");
        }
    }

    #[test]
    fn deployments_are_found_by_what_is_shown_of_them() {
        let mut found = deployment(1);
        found.labels.insert("team".to_owned(), "data".to_owned());
        for (text, expected, by_name_only) in [
            ("", true, true),
            ("display_name = ETL", true, true),
            ("display_name : et", true, true),
            ("labels.team = data", true, false),
            ("labels.team : AT", true, false),
            ("labels.tier = \"\"", true, false),
            ("labels.tier = gold", false, false),
            ("dag_deploy_mode = DAG_ONLY", true, false),
            ("rollback_enabled = true", true, false),
            ("rollback_enabled != true", false, false),
            ("delivery = AGENT", false, false),
            ("execution_mode = HOSTED", true, false),
            ("created_by : alice", true, false),
            ("create_time < 2026-06-01T00:00:00Z", true, false),
            ("update_time < 2025-06-01T00:00:00Z", false, false),
            ("display_name = ETL AND labels.team = data", true, false),
        ] {
            let filter = deployments(text).unwrap();
            assert_eq!(filter.lets_through(&found, false), expected, "{text}");
            assert_eq!(filter.lets_through(&found, true), by_name_only, "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_told_with_its_place() {
        for text in [
            "settings = 1",
            "state = deployed",
            "state : DEPLOYED",
            "state < DEPLOYED",
            "type = 1",
            "trigger = GITLAB",
            "create_time = 2026-01-01T00:00:00Z",
            "create_time > yesterday",
            "description < a",
            "labels.team = data",
        ] {
            let error = deploys(&format!("created_by = a AND {text}")).unwrap_err();
            assert!(
                error.to_string().starts_with("at character 20: "),
                "{error}"
            );
        }
        for text in [
            "settings.executor = celery",
            "rollback_enabled = yes",
            "dag_deploy_mode = image",
            "delivery = 1",
            "execution_mode > HOSTED",
            "labels.team > a",
            "state = FAILED",
        ] {
            let error = deployments(text).unwrap_err();
            assert!(error.to_string().starts_with("at character 1: "), "{error}");
        }
    }
}
