//! No answer comes from an older policy than was promised, whatever happens to a replica: two
//! authorization services over one PostgreSQL database, people who get roles and lose them, and
//! everything asked of both at the same time.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`world`] | the replicas, and the people who get roles and lose them |
//! | [`asking`] | what is asked, and written down when it was answered |
//! | [`history`] | what was asked and answered, and whether promises were broken |
//! | [`storm`] | many changes through both replicas |
//! | [`ends`] | bindings that expire and tokens that are revoked |
//! | [`failures`] | replicas that stand still or lose the database |

mod asking;
mod ends;
mod failures;
mod history;
mod storm;
mod world;
