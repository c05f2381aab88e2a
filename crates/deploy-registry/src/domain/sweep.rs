use chrono::{DateTime, TimeDelta, Utc};

/// For how long after it was brought, or asked for, a bundle is kept that no deploy refers to.
pub(crate) const UNUSED_FOR: TimeDelta = TimeDelta::hours(24);
/// How long a bundle stays marked before it is removed: longer than an accepted rollback has until
/// it is written (60 seconds), so that none is planned on a bundle that is about to go.
const GRACE: TimeDelta = TimeDelta::minutes(5);

/// What a sweep does with a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is needed, or marked and must wait.
    Stay,
    /// It is marked, and needed after all.
    Unmark,
    /// Nothing needs it.
    Mark,
    /// Nothing has needed it for long enough.
    Remove,
}

/// What becomes of a bundle that is needed or not, and was marked then. A mark from the future, as a
/// clock leaves that was set back, counts from now.
pub(crate) fn fate(needed: bool, marked: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Fate {
    match (needed, marked) {
        (true, None) => Fate::Stay,
        (true, Some(_)) => Fate::Unmark,
        (false, None) => Fate::Mark,
        (false, Some(time)) if time > now => Fate::Mark,
        (false, Some(time)) if now - time >= GRACE => Fate::Remove,
        (false, Some(_)) => Fate::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_removed_when_it_was_marked_for_the_whole_grace() {
        let time = |minute: i64| DateTime::from_timestamp(minute * 60, 0).unwrap();
        for (needed, marked, fated) in [
            (true, None, Fate::Stay),
            (true, Some(0), Fate::Unmark),
            (false, None, Fate::Mark),
            (false, Some(100), Fate::Stay),
            (false, Some(96), Fate::Stay),
            (false, Some(95), Fate::Remove),
            (false, Some(0), Fate::Remove),
            (false, Some(101), Fate::Mark),
        ] {
            let found = fate(needed, marked.map(time), time(100));
            assert_eq!(found, fated, "{needed} {marked:?}");
        }
    }
}
