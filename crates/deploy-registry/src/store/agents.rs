//! What remote agents say of themselves.

use chassis::database::time;
use chassis::{args, transaction};
use chrono::{DateTime, Utc};

use super::{Error, Store, rows};
use crate::domain::{Agent, DeploymentUid, MOST_AGENTS};

#[derive(sqlx::FromRow)]
struct AgentRow {
    agent_id: String,
    runtime_version: String,
    running_tasks: i64,
    queued_tasks: i64,
    deferred_tasks: i64,
    report_time: i64,
}

impl Store {
    /// Keeps what an agent says of itself, and forgets those of the Deployment that say nothing any more.
    pub(crate) async fn report_agent(
        &self,
        uid: DeploymentUid,
        agent: &Agent,
    ) -> Result<(), Error> {
        let Agent {
            id,
            runtime_version,
            running_tasks,
            queued_tasks,
            deferred_tasks,
            report_time,
        } = agent;
        transaction!(self.database, |tx| {
            tx.execute(
                "DELETE FROM agents WHERE deployment_uid = $1 AND expire_time <= $2",
                args![uid.get(), *report_time],
            )
            .await?;
            let others = tx
                .fetch_optional::<(i64,)>(
                    "SELECT COUNT(*) FROM agents WHERE deployment_uid = $1 AND agent_id <> $2",
                    args![uid.get(), id],
                )
                .await?;
            if others.is_some_and(|(others,)| others >= MOST_AGENTS) {
                return Err(Error::TooManyAgents);
            }
            tx.execute(
                "INSERT INTO agents
                     (deployment_uid, agent_id, runtime_version, running_tasks, queued_tasks,
                      deferred_tasks, report_time, expire_time)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (deployment_uid, agent_id) DO UPDATE
                 SET runtime_version = excluded.runtime_version,
                     running_tasks = excluded.running_tasks, queued_tasks = excluded.queued_tasks,
                     deferred_tasks = excluded.deferred_tasks, report_time = excluded.report_time,
                     expire_time = excluded.expire_time",
                args![
                    uid.get(),
                    id,
                    runtime_version.to_string(),
                    *running_tasks,
                    *queued_tasks,
                    *deferred_tasks,
                    *report_time,
                    agent.expire_time(),
                ],
            )
            .await?;
            Ok(())
        })
    }

    /// At most `limit` agents of a Deployment that still count, by id, after the one with the id `after`.
    pub(crate) async fn agents(
        &self,
        uid: DeploymentUid,
        after: &str,
        limit: usize,
        now: DateTime<Utc>,
    ) -> Result<Vec<Agent>, Error> {
        let mut connection = self.database.read().await?;
        let rows = connection
            .fetch_all::<AgentRow>(
                "SELECT agent_id, runtime_version, running_tasks, queued_tasks, deferred_tasks,
                        report_time
                 FROM agents
                 WHERE deployment_uid = $1 AND agent_id > $2 AND expire_time > $3
                 ORDER BY agent_id
                 LIMIT $4",
                args![uid.get(), after, now, rows(limit)],
            )
            .await?;
        rows.into_iter().map(Agent::try_from).collect()
    }
}

impl TryFrom<AgentRow> for Agent {
    type Error = Error;

    fn try_from(row: AgentRow) -> Result<Self, Error> {
        let AgentRow {
            agent_id,
            runtime_version,
            running_tasks,
            queued_tasks,
            deferred_tasks,
            report_time,
        } = row;
        let tasks = |count: i64| i32::try_from(count).map_err(Error::corrupt);
        Ok(Self {
            id: agent_id,
            runtime_version: runtime_version.parse().map_err(Error::corrupt)?,
            running_tasks: tasks(running_tasks)?,
            queued_tasks: tasks(queued_tasks)?,
            deferred_tasks: tasks(deferred_tasks)?,
            report_time: time(report_time)?,
        })
    }
}
