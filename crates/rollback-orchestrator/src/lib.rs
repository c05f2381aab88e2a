//! rollback-orchestrator
