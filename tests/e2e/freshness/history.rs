//! What was asked and answered, and whether the promises of freshness were kept in all of it.
//!
//! Every change of the policy has a revision of its own, so the changes that were answered say what
//! the policy of each revision is, whoever made them. An answer must be what one of the revisions
//! says that it may have come from; if it names its revision, what that one says.

use std::time::Duration;

/// How far behind an answer from memory may be.
pub(super) const MOST_BEHIND: Duration = Duration::from_secs(5);

/// When something was asked, and when the answer was there, since the history began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) begun: Duration,
    pub(super) ended: Duration,
}

/// Which of the two replicas was asked.
pub(super) type Replica = usize;

/// A role that was given to somebody, or taken away.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) at: Replica,
    pub(super) person: usize,
    pub(super) gives: bool,
    pub(super) revision: i64,
    pub(super) span: Span,
}

/// What an answer promises about the policy that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// It is the newest.
    Newest,
    /// It is this one or a newer one, and not further behind than memory may be.
    AtLeast(i64),
    /// It was the newest a few seconds ago, or since, and has what this replica has changed.
    FewSecondsBehind,
}

/// Whether somebody may do something, as a service said.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) at: Replica,
    pub(super) person: usize,
    /// What was asked.
    pub(super) call: &'static str,
    pub(super) promise: Promise,
    pub(super) allowed: bool,
    /// The policy that it comes from, if it says so.
    pub(super) revision: Option<i64>,
    pub(super) span: Span,
}

/// Everything that happened.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// A policy by which nobody may anything, before the first change.
    pub(super) first_revision: i64,
    /// All changes that there were.
    pub(super) changes: Vec<Change>,
    pub(super) answers: Vec<Answer>,
}

/// Which promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Two changes are the same revision.
    RevisionTwice,
    /// A change was answered before one with a lower revision was even asked for.
    ChangesOutOfOrder,
    /// An answer comes from a policy that is older than promised.
    Stale,
    /// An answer names a policy that was not there yet.
    Invented,
    /// An answer is not what the policy says that it names.
    Wrong,
    /// An answer is what no policy says that it may have come from.
    Impossible,
}

impl History {
    /// All promises that were broken, with what shows it.
    pub(super) fn violations(&self) -> Vec<(Broken, String)> {
        let mut changes = self.changes.iter().collect::<Vec<_>>();
        changes.sort_by_key(|change| change.revision);
        let mut violations = out_of_order(&changes);
        for answer in &self.answers {
            if let Some(broken) = self.judge(answer, &changes) {
                violations.push((broken, format!("{answer:?}")));
            }
        }
        violations
    }

    fn judge(&self, answer: &Answer, changes: &[&Change]) -> Option<Broken> {
        let Answer {
            at,
            person,
            call: _,
            promise,
            allowed,
            revision,
            span: Span { begun, ended },
        } = *answer;
        let then = begun.saturating_sub(MOST_BEHIND);
        let from_memory = self
            .newest(changes, |change| change.span.ended <= then)
            .max(self.newest(changes, |change| {
                change.at == at && change.span.ended <= begun
            }));
        let oldest = match promise {
            Promise::Newest => self.newest(changes, |change| change.span.ended <= begun),
            Promise::AtLeast(revision) => revision.max(from_memory),
            Promise::FewSecondsBehind => from_memory,
        };
        let newest = self.newest(changes, |change| change.span.begun <= ended);
        let state = |revision| {
            changes
                .iter()
                .rfind(|change| change.person == person && change.revision <= revision)
                .is_some_and(|change| change.gives)
        };
        match revision {
            Some(revision) if revision < oldest => Some(Broken::Stale),
            Some(revision) if revision > newest => Some(Broken::Invented),
            Some(revision) => (state(revision) != allowed).then_some(Broken::Wrong),
            None => {
                let possible = (oldest..=newest).any(|revision| state(revision) == allowed);
                (!possible).then_some(Broken::Impossible)
            }
        }
    }

    /// The policy of the newest of some changes.
    fn newest(&self, changes: &[&Change], which: impl Fn(&Change) -> bool) -> i64 {
        let revisions = changes.iter().filter(|change| which(change));
        revisions
            .map(|change| change.revision)
            .fold(self.first_revision, i64::max)
    }
}

/// Changes in the order of their revisions must be in an order in which they can have happened.
fn out_of_order(changes: &[&Change]) -> Vec<(Broken, String)> {
    let mut violations = Vec::new();
    let mut last_begun = Duration::ZERO;
    for pair in changes.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        last_begun = last_begun.max(before.span.begun);
        let broken = if before.revision == after.revision {
            Broken::RevisionTwice
        } else if after.span.ended < last_begun {
            Broken::ChangesOutOfOrder
        } else {
            continue;
        };
        violations.push((broken, format!("{before:?} {after:?}")));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(begun: u64, ended: u64) -> Span {
        Span {
            begun: Duration::from_millis(begun),
            ended: Duration::from_millis(ended),
        }
    }

    fn change(revision: i64, gives: bool, span: Span) -> Change {
        Change {
            at: 0,
            person: 0,
            gives,
            revision,
            span,
        }
    }

    fn answer(
        promise: Promise,
        allowed: bool,
        revision: impl Into<Option<i64>>,
        span: Span,
    ) -> Answer {
        Answer {
            at: 1,
            person: 0,
            call: "a call",
            promise,
            allowed,
            revision: revision.into(),
            span,
        }
    }

    /// Given at 100 and taken away at 200, each within 20 ms.
    fn given_and_taken(answers: &[Answer]) -> History {
        History {
            first_revision: 1,
            changes: vec![
                change(2, true, span(100, 120)),
                change(3, false, span(200, 220)),
            ],
            answers: answers.to_vec(),
        }
    }

    fn broken(history: &History) -> Vec<Broken> {
        let violations = history.violations();
        violations.into_iter().map(|(broken, _)| broken).collect()
    }

    #[test]
    fn answers_that_keep_their_promises_are_no_violations() {
        use Promise::{AtLeast, FewSecondsBehind, Newest};
        let history = given_and_taken(&[
            answer(Newest, false, 1, span(0, 10)),
            answer(Newest, true, 2, span(120, 130)),
            answer(Newest, true, None, span(120, 130)),
            answer(Newest, false, 3, span(220, 230)),
            answer(Newest, false, None, span(220, 230)),
            // While a change is under way both are right, and its revision can be seen.
            answer(Newest, true, 2, span(205, 300)),
            answer(Newest, true, None, span(219, 300)),
            answer(Newest, false, None, span(150, 200)),
            answer(Newest, false, 3, span(150, 205)),
            answer(AtLeast(2), true, 2, span(300, 310)),
            answer(AtLeast(3), false, 3, span(300, 310)),
            answer(FewSecondsBehind, true, 2, span(5_219, 5_220)),
            answer(FewSecondsBehind, false, 1, span(5_119, 5_120)),
        ]);
        assert_eq!(broken(&history), []);
    }

    #[test]
    fn every_answer_that_breaks_its_promise_is_found() {
        use Promise::{AtLeast, FewSecondsBehind, Newest};
        for (answer, expected) in [
            // A stale allow, and a stale denial.
            (answer(Newest, true, 2, span(220, 230)), Broken::Stale),
            (
                answer(Newest, true, None, span(220, 230)),
                Broken::Impossible,
            ),
            (answer(Newest, false, 1, span(120, 130)), Broken::Stale),
            (
                answer(Newest, false, None, span(120, 130)),
                Broken::Impossible,
            ),
            (answer(AtLeast(3), true, 2, span(221, 230)), Broken::Stale),
            (
                answer(AtLeast(1), true, 2, span(5_220, 5_230)),
                Broken::Stale,
            ),
            (
                answer(FewSecondsBehind, true, 2, span(5_220, 5_230)),
                Broken::Stale,
            ),
            (
                answer(FewSecondsBehind, true, None, span(5_220, 5_230)),
                Broken::Impossible,
            ),
            // From the future.
            (
                answer(FewSecondsBehind, false, 3, span(150, 199)),
                Broken::Invented,
            ),
            // Not what the policy says.
            (answer(Newest, true, 3, span(220, 230)), Broken::Wrong),
            (
                answer(FewSecondsBehind, false, 2, span(130, 140)),
                Broken::Wrong,
            ),
            (answer(AtLeast(2), false, 2, span(130, 140)), Broken::Wrong),
        ] {
            let history = given_and_taken(std::slice::from_ref(&answer));
            assert_eq!(broken(&history), [expected], "{answer:?}");
        }
    }

    #[test]
    fn a_replica_that_forgets_what_it_has_changed_itself_is_found() {
        let answer = Answer {
            at: 0,
            ..answer(Promise::FewSecondsBehind, true, 2, span(220, 230))
        };
        assert_eq!(broken(&given_and_taken(&[answer])), [Broken::Stale]);
    }

    #[test]
    fn what_was_changed_for_somebody_else_does_not_excuse_an_answer() {
        let mut history = given_and_taken(&[answer(Promise::Newest, true, None, span(300, 310))]);
        let somebody_else = Change {
            person: 1,
            ..change(4, true, span(300, 305))
        };
        history.changes.push(somebody_else);
        assert_eq!(broken(&history), [Broken::Impossible]);
    }

    #[test]
    fn changes_that_cannot_have_happened_in_the_order_of_their_revisions_are_found() {
        let mut twice = given_and_taken(&[]);
        twice.changes.push(change(3, true, span(230, 240)));
        assert_eq!(broken(&twice), [Broken::RevisionTwice]);

        let mut late = given_and_taken(&[]);
        late.changes.push(change(4, true, span(150, 199)));
        assert_eq!(broken(&late), [Broken::ChangesOutOfOrder]);
    }
}
