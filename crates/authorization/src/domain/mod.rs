//! The rules of authorization, as pure functions and plain data.
//!
//! | module | holds |
//! | --- | --- |
//! | [`subject`] | who is checked |
//! | [`policy`] | roles, bindings, and the number that grows with every change of them |
//! | [`policy_change`] | what was changed, by whom, when and why |
//! | [`policy_file`] | a policy as a file, and what has to change so that all is as it says |
//! | [`decision`] | the answer to one question, and why |
//! | [`index`] | the whole policy in memory, and the answer to every question about it |
//! | [`grant_rule`] | nobody can grant what they do not hold |
//! | [`limits`] | how much there can be of what callers make |
//! | [`rollback_grant`] | what the first permit of a rollback leaves behind |
//! | [`tokens`] | what is known of the tokens of service accounts |

pub(crate) mod decision;
pub(crate) mod grant_rule;
pub(crate) mod index;
pub(crate) mod limits;
pub(crate) mod policy;
pub(crate) mod policy_change;
pub(crate) mod policy_file;
pub(crate) mod rollback_grant;
pub(crate) mod subject;
pub(crate) mod tokens;
