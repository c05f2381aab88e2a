use chassis::testing::{TestDatabase, statements_of};

use crate::benchmark::{History, Operation};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    no_statement_reads_or_sorts_a_whole_history,
);

/// What grows with a history.
const LONG: [&str; 3] = ["deploys", "deploy_changes", "deploy_bundles"];

async fn no_statement_reads_or_sorts_a_whole_history(database: TestDatabase) {
    let history = History::fill(&database.database, 3_000).await;
    let mut seen = 0;
    for operation in Operation::ALL {
        let (found, statements) = statements_of(history.run(operation)).await;
        assert!(found > 0, "{operation:?} finds nothing");
        for statement in statements {
            let plan = statement.plan(&database.database).await.unwrap();
            for line in &plan {
                let told = || format!("{operation:?}: {}\n{}", statement.sql, plan.join("\n"));
                assert!(!reads_a_long_table(line), "{}", told());
                assert!(!sorts(line, statement.sql), "{}", told());
            }
            seen += 1;
        }
    }
    assert!(seen >= Operation::ALL.len());
}

/// A line of a plan that goes through a table from end to end.
fn reads_a_long_table(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '-', '>']);
    let table = line
        .strip_prefix("SCAN ")
        .or_else(|| line.split_once("Seq Scan on ").map(|(_, table)| table));
    let table = table.and_then(|table| table.split_whitespace().next());
    // Statements name these tables by a letter where there are several; SQLite then says the letter.
    table.is_some_and(|table| LONG.contains(&table) || ["c", "r"].contains(&table))
}

/// A line of a plan that sorts, and not to leave out duplicates of a few rows.
fn sorts(line: &str, sql: &str) -> bool {
    line.contains("TEMP B-TREE FOR ORDER BY") || (line.contains("Sort ") && !sql.contains("UNION"))
}
