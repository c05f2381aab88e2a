use chassis::testing::TestDatabase;
use chrono::TimeDelta;

use super::{Fixture, name, new_deployment, time};
use crate::domain::{Agent, DeploymentUid};
use crate::store::Error;

chassis::on_both_databases!(crate::store::MIGRATIONS;
    an_agent_counts_until_its_report_expires,
    agents_belong_to_one_deployment_and_are_listed_by_id,
    a_deployment_has_so_many_agents_and_no_more,
);

fn agent(id: &str, running_tasks: i32, second: i64) -> Agent {
    Agent {
        id: id.to_owned(),
        runtime_version: "3.1-9".parse().unwrap(),
        running_tasks,
        queued_tasks: 2,
        deferred_tasks: 3,
        report_time: time(second),
    }
}

impl Fixture {
    async fn uid(&self, id: &str) -> DeploymentUid {
        self.store.deployment_uid(&name(id)).await.unwrap().unwrap()
    }
}

async fn an_agent_counts_until_its_report_expires(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let uid = fixture.uid("etl").await;
    let first = agent("a", 1, 0);
    fixture.store.report_agent(uid, &first).await.unwrap();
    let agents = async |now| fixture.store.agents(uid, "", 10, now).await.unwrap();
    let last = first.expire_time() - TimeDelta::microseconds(1);
    assert_eq!(agents(last).await, std::slice::from_ref(&first));
    assert_eq!(agents(first.expire_time()).await, []);
    let renewed = agent("a", 7, 100);
    fixture.store.report_agent(uid, &renewed).await.unwrap();
    assert_eq!(agents(first.expire_time()).await, [renewed]);
}

async fn agents_belong_to_one_deployment_and_are_listed_by_id(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.create(&new_deployment("other")).await;
    let (etl, other) = (fixture.uid("etl").await, fixture.uid("other").await);
    for id in ["b", "c", "a"] {
        fixture
            .store
            .report_agent(etl, &agent(id, 1, 0))
            .await
            .unwrap();
    }
    fixture
        .store
        .report_agent(other, &agent("x", 1, 0))
        .await
        .unwrap();
    let ids = async |uid, after: &str, limit| {
        let agents = fixture
            .store
            .agents(uid, after, limit, time(1))
            .await
            .unwrap();
        agents.into_iter().map(|agent| agent.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(etl, "", 2).await, ["a", "b"]);
    assert_eq!(ids(etl, "b", 2).await, ["c"]);
    assert_eq!(ids(other, "", 2).await, ["x"]);
}

async fn a_deployment_has_so_many_agents_and_no_more(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let uid = fixture.uid("etl").await;
    fixture
        .set(
            "WITH RECURSIVE numbers (number) AS (
                 SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 1000
             )
             INSERT INTO agents
                 (deployment_uid, agent_id, runtime_version, running_tasks, queued_tasks,
                  deferred_tasks, report_time, expire_time)
             SELECT $1, 'bulk-' || number, '3.1-9', 0, 0, 0, $2, $3 FROM numbers",
            chassis::args![uid.get(), time(0), time(120)],
        )
        .await;
    let refused = fixture.store.report_agent(uid, &agent("a", 1, 1)).await;
    assert!(matches!(refused, Err(Error::TooManyAgents)), "{refused:?}");
    fixture
        .store
        .report_agent(uid, &agent("bulk-7", 1, 1))
        .await
        .unwrap();
    // Those that say nothing any more make room.
    fixture
        .store
        .report_agent(uid, &agent("a", 1, 120))
        .await
        .unwrap();
    assert_eq!(
        fixture
            .store
            .agents(uid, "", 10, time(120))
            .await
            .unwrap()
            .len(),
        2
    );
}
