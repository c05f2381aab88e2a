//! Reading which items of a list are asked for.

use chassis::filter::{Comparison, Filter, Operator};
use chrono::DateTime;

use crate::domain::{
    Delivery, DeployFilter, DeployTest, DeployTrigger, DeployType, DeploymentFilter,
    DeploymentTest, ExecutionMode, Same, TextTest, TimeTest,
};

/// Why a comparison means nothing in a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WrongComparison {
    #[error("at character {position}: there is no field {field} to compare")]
    Field { position: usize, field: String },
    #[error("at character {position}: {field} cannot be compared like that, only with {operators}")]
    Operator {
        position: usize,
        field: String,
        operators: &'static str,
    },
    #[error("at character {position}: {field} is compared with {values}")]
    Value {
        position: usize,
        field: String,
        values: &'static str,
    },
}

/// The deploys that a filter asks for.
pub(super) fn deploys(filter: Filter) -> Result<DeployFilter, WrongComparison> {
    let Filter { comparisons } = filter;
    let tests = comparisons.into_iter().map(|comparison| {
        Ok(match comparison.field.as_str() {
            "type" => DeployTest::Type(same(
                comparison,
                "IMAGE_AND_DAGS, IMAGE_ONLY, DAGS_ONLY or DBT",
                DeployType::from_text,
            )?),
            "trigger" => DeployTest::Trigger(same(
                comparison,
                "API or ROLLBACK",
                DeployTrigger::from_text,
            )?),
            "state" => DeployTest::State(same(
                comparison,
                "PENDING, ROLLING_OUT, DEPLOYED, FAILED or SUPERSEDED",
                |value| value.parse().ok(),
            )?),
            "created_by" => DeployTest::CreatedBy(text(comparison)?),
            "description" => DeployTest::Description(text(comparison)?),
            "create_time" => DeployTest::CreateTime(time(comparison)?),
            _ => return Err(unknown(comparison)),
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
            return Ok(DeploymentTest::Label(key, text(comparison)?));
        }
        Ok(match comparison.field.as_str() {
            "display_name" => DeploymentTest::DisplayName(text(comparison)?),
            "created_by" => DeploymentTest::CreatedBy(text(comparison)?),
            "dag_deploy_mode" => DeploymentTest::Mode(same(
                comparison,
                "IMAGE, DAG_ONLY, GIT_SYNC or NFS",
                |value| value.parse().ok(),
            )?),
            "delivery" => {
                DeploymentTest::Delivery(same(comparison, "RECORD or AGENT", Delivery::from_text)?)
            }
            "execution_mode" => DeploymentTest::ExecutionMode(same(
                comparison,
                "HOSTED or REMOTE",
                ExecutionMode::from_text,
            )?),
            "rollback_enabled" => {
                DeploymentTest::RollbackEnabled(same(comparison, "true or false", |value| {
                    value.parse().ok()
                })?)
            }
            "create_time" => DeploymentTest::CreateTime(time(comparison)?),
            "update_time" => DeploymentTest::UpdateTime(time(comparison)?),
            _ => return Err(unknown(comparison)),
        })
    });
    tests.collect::<Result<_, _>>().map(DeploymentFilter)
}

fn same<T>(
    comparison: Comparison,
    values: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Same<T>, WrongComparison> {
    let Comparison {
        field,
        operator,
        value,
        position,
    } = comparison;
    let is = match operator {
        Operator::Equal => true,
        Operator::NotEqual => false,
        Operator::Less
        | Operator::LessOrEqual
        | Operator::Greater
        | Operator::GreaterOrEqual
        | Operator::Has => {
            return Err(WrongComparison::Operator {
                position,
                field,
                operators: "= and !=",
            });
        }
    };
    let value = parse(&value).ok_or(WrongComparison::Value {
        position,
        field,
        values,
    })?;
    Ok(Same { is, value })
}

fn text(comparison: Comparison) -> Result<TextTest, WrongComparison> {
    let Comparison {
        field,
        operator,
        value,
        position,
    } = comparison;
    match operator {
        Operator::Equal => Ok(TextTest::Is(value)),
        Operator::NotEqual => Ok(TextTest::IsNot(value)),
        Operator::Has => Ok(TextTest::Has(value.to_lowercase())),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            Err(WrongComparison::Operator {
                position,
                field,
                operators: "=, != and :",
            })
        }
    }
}

fn time(comparison: Comparison) -> Result<TimeTest, WrongComparison> {
    let Comparison {
        field,
        operator,
        value,
        position,
    } = comparison;
    let side = match operator {
        Operator::Less => TimeTest::Before,
        Operator::LessOrEqual => TimeTest::UpTo,
        Operator::Greater => TimeTest::After,
        Operator::GreaterOrEqual => TimeTest::From,
        Operator::Equal | Operator::NotEqual | Operator::Has => {
            return Err(WrongComparison::Operator {
                position,
                field,
                operators: "<, <=, > and >=",
            });
        }
    };
    let read = DateTime::parse_from_rfc3339(&value);
    let read = read.map_err(|_| WrongComparison::Value {
        position,
        field,
        values: "a time such as 2026-01-01T00:00:00Z",
    })?;
    Ok(side(read.to_utc()))
}

fn unknown(comparison: Comparison) -> WrongComparison {
    let Comparison {
        field,
        operator: _,
        value: _,
        position,
    } = comparison;
    WrongComparison::Field { position, field }
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
            "trigger = GITHUB",
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
