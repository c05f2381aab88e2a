//! What a rollback would do, whether it may be done, and how far it has come: pure rules and data.
//!
//! | module | holds |
//! | --- | --- |
//! | [`history`] | the Deployment and its deploys, as the registry tells them |
//! | [`revision`] | what a deploy runs, and in what two of them differ |
//! | [`agents`] | the remote agents, and whether they may stay as they are |
//! | [`tasks`] | what happens to tasks |
//! | [`blocker`], [`warning`] | why a rollback cannot be done, and what it does besides |
//! | [`options`] | what a person can ask for beside the target and the part |
//! | [`target`] | what a rollback can go back to |
//! | [`plan`] | everything that a rollback would do, refuse, warn of and leave alone |
//! | [`digest`] | what stands for a plan |
//! | [`admission`] | whether a plan may be carried out |
//! | [`rollback`] | the record of an accepted rollback |
//! | [`filter`] | which rollbacks of a list are asked for |
//! | [`audit`] | what is kept of what was decided and done |

#[macro_use]
mod codes;

pub(crate) mod admission;
pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod blocker;
pub(crate) mod consequences;
pub(crate) mod digest;
pub(crate) mod filter;
pub(crate) mod history;
pub(crate) mod options;
pub(crate) mod permissions;
pub(crate) mod plan;
pub(crate) mod revision;
pub(crate) mod rollback;
pub(crate) mod target;
pub(crate) mod tasks;
pub(crate) mod unchanged;
pub(crate) mod warning;

#[cfg(test)]
pub(crate) mod samples;
