//! The end-to-end tests: three `reprise` processes, one a service, on real ports, and everything
//! said to them over gRPC, as any client would.
//!
//! | module | what it shows |
//! | --- | --- |
//! | [`demo_path`] | the main job: ship, list, plan, be refused, roll back, download |
//! | [`permits`] | no rollback deploy without a permit for exactly that write |
//! | [`service_account_tokens`] | a token of a service account works until it is revoked, and then nowhere |
//! | [`service_tokens`] | no service passes for another, and nobody for a service |
//! | [`forged_tokens`] | what is wrong with a token is told to nobody |
//! | [`oidc`] | people of a real identity provider, its new keys, and its absence |
//! | [`rotation`] | our own signing key changes while the services run |
//! | [`targets`] | which deploys there are to go back to, and which one is meant |
//! | [`races`] | a plan or a write that was overtaken is refused, and nothing is overwritten |
//! | [`holds`] | a rollback that places a hold, and one to a deploy that is marked bad |
//! | [`crashes`] | a rollback that was accepted ends well, whatever is killed when |
//! | [`cancels`] | a rollback that is cancelled has no deploy, or it was too late |
//! | [`authorization_crashes`] | what the authorization service has answered survives `kill -9`, once |
//! | [`registry_crashes`] | what the deploy-registry has answered survives `kill -9`, once |
//! | [`soak`] | all of it at once: two of each service, killed and paused while clients roll back |
//! | [`policy_files`] | a policy file holds from the start or by a command, whole or not at all |
//! | [`outages`] | what cannot be asked is never a yes, and leaves nothing behind |
//! | [`network_faults`] | delay, reset, black hole and half a connection between two services |
//! | [`permissions`] | who may roll back what, and see what |
//! | [`bad_input`] | what is wrong is told, all of it at once, and changes nothing |
//! | [`uploads`] | a bundle is there whole or not at all |
//! | [`restarts`] | nothing is lost by `kill -9`, and SIGTERM ends well |
//! | [`history`] | what is noted about a history, and who watches it |
//! | [`audit`] | what happens to rollbacks, who watches it, and what is kept of it |
//! | [`watches`] | a workspace is watched as far as one may see it, and nothing is missed |
//! | [`states`] | deploys that somebody ships and reports |
//! | [`agents`] | Deployments whose tasks are run by remote agents |
//! | [`modes`] | Deployments whose DAGs come in the image or from git |
//! | [`versions`] | which version may be rolled back to which |
//! | [`traces`] | one trace id through all three services |
//! | [`replicas`] | two of a service over one PostgreSQL database |
//! | [`freshness`] | no answer by an older policy than was promised, whatever happens to a replica |
//! | [`up`] | the services in one process, as `reprise up` runs them |
//! | [`operator`] | `buf curl` and reflection, as an operator works |
//!
//! [`harness`] starts and stops the processes and has the steps that cases share; [`proxy`] stands
//! between two services and holds a call where a case needs it. Every case runs on SQLite and, with
//! the feature `test-postgres`, on PostgreSQL.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a case that does not go as it should has failed"
)]

#[macro_use]
mod harness;
mod proxy;

mod agents;
mod audit;
mod authorization_crashes;
mod bad_input;
mod cancels;
mod crashes;
mod demo_path;
mod forged_tokens;
#[cfg(feature = "test-postgres")]
mod freshness;
mod history;
mod holds;
mod modes;
#[cfg(feature = "test-postgres")]
mod network_faults;
#[cfg(feature = "test-postgres")]
mod oidc;
#[cfg(feature = "test-postgres")]
mod operator;
mod outages;
mod permissions;
mod permits;
mod policy_files;
mod races;
mod registry_crashes;
#[cfg(feature = "test-postgres")]
mod replicas;
mod restarts;
mod rotation;
mod service_account_tokens;
mod service_tokens;
#[cfg(feature = "test-postgres")]
mod soak;
mod states;
mod targets;
mod traces;
mod up;
mod uploads;
mod versions;
mod watches;
