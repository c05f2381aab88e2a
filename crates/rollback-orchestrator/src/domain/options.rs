//! What a person can ask for beside the target and the part.

/// What a person can ask for beside the target and the part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Keeps later deploys away, from the write on, until the hold is released.
    pub(crate) hold: bool,
    /// Goes back also to a deploy that is marked bad.
    pub(crate) allow_marked_bad: bool,
}
