use proto::rollback::v1::{Rollback, RollbackState};

use super::{Answer, Asked, Cancel, Flaw, History, Records};

/// What was answered is so, and stays so.
pub(super) fn check(history: &History, flaws: &mut Vec<Flaw>) {
    for asked in &history.asked {
        let records = &history.found[&asked.deployment];
        let description = || asked.description.clone();
        let mut recorded = records.rollbacks.iter();
        let recorded = recorded.find(|rollback| rollback.description == asked.description);
        let (state, name) = match recorded {
            Some(rollback) => (rollback.state(), rollback.name.as_str()),
            None => (RollbackState::Unspecified, ""),
        };
        match &asked.answer {
            Answer::Succeeded(_) if !is_kept(asked, records) => {
                flaws.push(Flaw::Lost(description()));
            }
            Answer::Ended { rollback } => {
                let over = [RollbackState::Failed, RollbackState::Cancelled].contains(&state);
                if rollback != name || !over {
                    flaws.push(Flaw::Lost(description()));
                }
            }
            // An attempt whose answer was lost can still have been accepted.
            Answer::Refused if recorded.is_some() && !asked.lost => {
                flaws.push(Flaw::DoneThoughRefused(description()));
            }
            Answer::Succeeded(_) | Answer::Refused => {}
        }
    }
    for asked in &history.asked {
        let mut recorded = history.found[&asked.deployment].rollbacks.iter();
        let recorded = recorded.find(|rollback| rollback.description == asked.description);
        let cancelled = recorded.is_some_and(|it| it.state() == RollbackState::Cancelled);
        if cancelled != (asked.cancel == Cancel::Done) {
            flaws.push(Flaw::Cancel(asked.description.clone()));
        }
    }
    for shipped in &history.shipped {
        let mut deploys = history.found[&shipped.deployment].deploys.iter();
        let found = deploys.find(|deploy| deploy.name == shipped.answer);
        if found.is_none_or(|deploy| deploy.description != shipped.description) {
            flaws.push(Flaw::Lost(shipped.description.clone()));
        }
    }
}

/// Whether the rollback that was answered is there as it was answered, and was for others.
fn is_kept(asked: &Asked, records: &Records) -> bool {
    let Answer::Succeeded(answered) = &asked.answer else {
        return false;
    };
    let kept = |found: &Rollback| {
        found.state() == RollbackState::Succeeded
            && (&found.name, &found.deploy) == (&answered.name, &answered.deploy)
            && found.description == asked.description
    };
    kept(answered)
        && records.rollback(&answered.name).is_some_and(kept)
        && asked.read_again.as_ref().is_none_or(kept)
}
