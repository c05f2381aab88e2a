//! What was asked and answered, and whether what is found after all the crashes fits to it.

use std::collections::{BTreeMap, BTreeSet};

/// What a call was to do. No two calls are to do the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    CreateRole {
        name: String,
    },
    DeleteRole {
        name: String,
    },
    Bind {
        resource: String,
        principal: String,
        role: String,
    },
    Unbind {
        binding: String,
    },
    /// The description says which token it is.
    MakeToken {
        account: String,
        description: String,
        /// In seconds since 1970.
        expire_time: i64,
    },
    Revoke {
        token: String,
    },
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// What was made or deleted.
    pub(super) name: String,
    /// A policy that has it. A new token changes no policy.
    pub(super) revision: Option<i64>,
    /// Whether the call was sent before. Then the policy may be a later one.
    pub(super) repeated: bool,
}

/// A call, and its answer if there was one.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) work: Work,
    pub(super) request_id: String,
    pub(super) answer: Option<Answer>,
}

/// A role that is bound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Binding {
    pub(super) resource: String,
    pub(super) principal: String,
    pub(super) role: String,
}

/// A token of a service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) description: String,
    pub(super) expire_time: i64,
    pub(super) revoked: bool,
}

/// A change of the policy that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) revision: i64,
    pub(super) done: Done,
    /// Of the role, the binding or the token.
    pub(super) name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Done {
    RoleCreated,
    RoleDeleted,
    Bound(Binding),
    Unbound(Binding),
    Revoked,
}

/// What a service says there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) revision: i64,
    /// From the oldest to the newest.
    pub(super) changes: Vec<Recorded>,
    pub(super) roles: BTreeSet<String>,
    pub(super) bindings: BTreeMap<String, Binding>,
    pub(super) tokens: BTreeMap<String, Token>,
}

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A revision was skipped, or is not the one of exactly one change.
    Revision(i64),
    /// An answered call is not among the changes, or with another outcome.
    Lost(Call),
    /// A call was carried out more than once.
    Repeated(Work),
    /// A change that no call has asked for.
    Unasked(Recorded),
    /// The roles are not what the changes have made of them.
    Roles(Vec<String>),
    /// The bindings are not what the changes have made of them.
    Bindings(Vec<String>),
    /// A token that was not asked for, or more than once, or is not revoked as the changes say.
    Token(String),
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.request_id == other.request_id
    }
}

impl Eq for Call {}

impl Recorded {
    /// The work that this change does.
    fn work(&self) -> Work {
        let name = self.name.clone();
        match &self.done {
            Done::RoleCreated => Work::CreateRole { name },
            Done::RoleDeleted => Work::DeleteRole { name },
            Done::Bound(Binding {
                resource,
                principal,
                role,
            }) => Work::Bind {
                resource: resource.clone(),
                principal: principal.clone(),
                role: role.clone(),
            },
            Done::Unbound(_) => Work::Unbind { binding: name },
            Done::Revoked => Work::Revoke { token: name },
        }
    }
}

/// All that is wrong with what is found after these calls.
pub(super) fn flaws(before: &Found, calls: &[Call], after: &Found) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let news = after
        .changes
        .get(before.changes.len()..)
        .unwrap_or_default();
    let revisions = news.iter().map(|change| change.revision);
    let expected = before.revision + 1..=after.revision;
    let first_wrong = expected
        .clone()
        .zip(revisions.clone())
        .find(|(expected, found)| expected != found);
    if let Some((expected, _)) = first_wrong {
        flaws.push(Flaw::Revision(expected));
    } else if expected.count() != news.len() {
        flaws.push(Flaw::Revision(after.revision));
    }

    let mut recorded = BTreeMap::<Work, &Recorded>::new();
    for change in news {
        let work = change.work();
        if !calls.iter().any(|call| call.work == work) {
            flaws.push(Flaw::Unasked(change.clone()));
        }
        if recorded.insert(work.clone(), change).is_some() {
            flaws.push(Flaw::Repeated(work));
        }
    }
    for call in calls {
        let Some(answer) = &call.answer else { continue };
        let is_there = match (answer.revision, recorded.get(&call.work)) {
            (None, _) => after.tokens.contains_key(&answer.name),
            (Some(_), None) => false,
            (Some(revision), Some(change)) => {
                let its_revision = match answer.repeated {
                    true => change.revision <= revision,
                    false => change.revision == revision,
                };
                its_revision && change.name == answer.name
            }
        };
        if !is_there {
            flaws.push(Flaw::Lost(call.clone()));
        }
    }
    flaws.extend(wrong_outcome(before, news, after));
    flaws.extend(wrong_tokens(calls, news, after));
    flaws
}

/// Whether each token was asked for, once, and is revoked if that is among the changes.
fn wrong_tokens(calls: &[Call], changes: &[Recorded], after: &Found) -> Vec<Flaw> {
    let mut made = BTreeSet::new();
    let wrong = after.tokens.iter().filter(|(name, token)| {
        let (account, _) = name.rsplit_once("/tokens/").unwrap();
        let work = Work::MakeToken {
            account: account.to_owned(),
            description: token.description.clone(),
            expire_time: token.expire_time,
        };
        let asked_for = calls.iter().any(|call| call.work == work);
        let revoked = Work::Revoke {
            token: (*name).clone(),
        };
        let revoked = changes.iter().any(|change| change.work() == revoked);
        !asked_for || !made.insert(work) || token.revoked != revoked
    });
    wrong.map(|(name, _)| Flaw::Token(name.clone())).collect()
}

/// Whether the changes, one after the other, lead to what there is.
fn wrong_outcome(before: &Found, changes: &[Recorded], after: &Found) -> Vec<Flaw> {
    let mut roles = before.roles.clone();
    let mut bindings = before.bindings.clone();
    for Recorded {
        revision: _,
        done,
        name,
    } in changes
    {
        match done {
            Done::RoleCreated => {
                roles.insert(name.clone());
            }
            Done::RoleDeleted => {
                roles.remove(name);
            }
            Done::Bound(binding) => {
                bindings.insert(name.clone(), binding.clone());
            }
            Done::Unbound(_) => {
                bindings.remove(name);
            }
            Done::Revoked => {}
        }
    }
    let mut flaws = Vec::new();
    if roles != after.roles {
        let wrong = roles.symmetric_difference(&after.roles);
        flaws.push(Flaw::Roles(wrong.cloned().collect()));
    }
    if bindings != after.bindings {
        let names = bindings.keys().chain(after.bindings.keys());
        let wrong = names.filter(|name| bindings.get(*name) != after.bindings.get(*name));
        flaws.push(Flaw::Bindings(wrong.cloned().collect()));
    }
    flaws
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> Binding {
        Binding {
            resource: "workspaces/w".to_owned(),
            principal: "user:ann".to_owned(),
            role: "workspaces/w/roles/r".to_owned(),
        }
    }

    fn call(request_id: &str, work: Work, answer: Option<(impl Into<Option<i64>>, &str)>) -> Call {
        Call {
            work,
            request_id: request_id.to_owned(),
            answer: answer.map(|(revision, name)| Answer {
                name: name.to_owned(),
                revision: revision.into(),
                repeated: false,
            }),
        }
    }

    fn recorded(revision: i64, done: Done, name: &str) -> Recorded {
        Recorded {
            revision,
            done,
            name: name.to_owned(),
        }
    }

    fn before() -> Found {
        Found {
            revision: 1,
            changes: Vec::new(),
            roles: BTreeSet::new(),
            bindings: BTreeMap::new(),
            tokens: BTreeMap::new(),
        }
    }

    /// A role was created and bound, and the binding deleted, which was not answered.
    fn calls() -> Vec<Call> {
        let Binding {
            resource,
            principal,
            role,
        } = bound();
        let bind = Work::Bind {
            resource,
            principal,
            role: role.clone(),
        };
        let unbind = Work::Unbind {
            binding: "b".to_owned(),
        };
        vec![
            call(
                "1",
                Work::CreateRole { name: role.clone() },
                Some((2, &role)),
            ),
            call("2", bind, Some((3, "b"))),
            call("3", unbind, None::<(i64, _)>),
        ]
    }

    fn with_the_deletion() -> Found {
        let role = bound().role;
        Found {
            revision: 4,
            changes: vec![
                recorded(2, Done::RoleCreated, &role),
                recorded(3, Done::Bound(bound()), "b"),
                recorded(4, Done::Unbound(bound()), "b"),
            ],
            roles: [role].into(),
            bindings: BTreeMap::new(),
            tokens: BTreeMap::new(),
        }
    }

    fn without_the_deletion() -> Found {
        let mut found = with_the_deletion();
        found.changes.pop();
        found.revision = 3;
        found.bindings.insert("b".to_owned(), bound());
        found
    }

    #[test]
    fn what_was_not_answered_may_be_there_or_not() {
        assert_eq!(flaws(&before(), &calls(), &with_the_deletion()), []);
        assert_eq!(flaws(&before(), &calls(), &without_the_deletion()), []);
    }

    #[test]
    fn half_of_what_was_not_answered_is_found() {
        let mut binding_stayed = with_the_deletion();
        binding_stayed.bindings = without_the_deletion().bindings;
        let mut change_not_recorded = with_the_deletion();
        change_not_recorded.changes.pop();
        let mut revision_not_moved = with_the_deletion();
        revision_not_moved.revision = 3;
        let mut only_the_revision = without_the_deletion();
        only_the_revision.revision = 4;
        let wrong_binding = Flaw::Bindings(vec!["b".to_owned()]);
        for (found, expected) in [
            (binding_stayed, vec![wrong_binding.clone()]),
            (change_not_recorded, vec![Flaw::Revision(4), wrong_binding]),
            (revision_not_moved, vec![Flaw::Revision(3)]),
            (only_the_revision, vec![Flaw::Revision(4)]),
        ] {
            assert_eq!(flaws(&before(), &calls(), &found), expected);
        }
    }

    #[test]
    fn what_was_answered_and_is_gone_is_found() {
        let calls = calls();
        let [create, bind, _] = &calls[..] else {
            panic!("three calls")
        };
        let nothing = flaws(&before(), &calls, &before());
        assert_eq!(
            nothing,
            [Flaw::Lost(create.clone()), Flaw::Lost(bind.clone())]
        );

        let mut another_name = with_the_deletion();
        for change in &mut another_name.changes[1..] {
            change.name = "c".to_owned();
        }
        let another_name = flaws(&before(), &calls, &another_name);
        assert!(
            another_name.contains(&Flaw::Lost(bind.clone())),
            "{another_name:?}"
        );
    }

    #[test]
    fn what_was_done_twice_or_without_being_asked_for_is_found() {
        let role = bound().role;
        let mut twice = with_the_deletion();
        twice.changes.push(recorded(5, Done::RoleCreated, &role));
        twice.revision = 5;
        let repeated = Flaw::Repeated(Work::CreateRole { name: role });
        let found = flaws(&before(), &calls(), &twice);
        assert!(found.contains(&repeated), "{found:?}");

        let mut unasked = with_the_deletion();
        let change = recorded(5, Done::RoleCreated, "roles/mallory");
        unasked.changes.push(change.clone());
        unasked.revision = 5;
        unasked.roles.insert(change.name.clone());
        assert_eq!(
            flaws(&before(), &calls(), &unasked),
            [Flaw::Unasked(change)]
        );
    }

    #[test]
    fn a_token_that_is_not_as_it_was_asked_for_is_found() {
        const TOKEN: &str = "workspaces/w/serviceAccounts/ci/tokens/t";
        let make = Work::MakeToken {
            account: "workspaces/w/serviceAccounts/ci".to_owned(),
            description: "first".to_owned(),
            expire_time: 100,
        };
        let revoke = Work::Revoke {
            token: TOKEN.to_owned(),
        };
        let make = call("1", make, Some((None, TOKEN)));
        let revoke = call("2", revoke, Some((2, TOKEN)));
        let calls = [make.clone(), revoke];
        let token = Token {
            description: "first".to_owned(),
            expire_time: 100,
            revoked: true,
        };
        let found = |revision, changes: &[Recorded], tokens: &[(&str, &Token)]| Found {
            revision,
            changes: changes.to_vec(),
            tokens: tokens
                .iter()
                .map(|(name, token)| ((*name).to_owned(), (*token).clone()))
                .collect(),
            ..before()
        };
        let revoked = [recorded(2, Done::Revoked, TOKEN)];
        let right = found(2, &revoked, &[(TOKEN, &token)]);
        assert_eq!(flaws(&before(), &calls, &right), []);

        let wrong = Flaw::Token(TOKEN.to_owned());
        let still_good = Token {
            revoked: false,
            ..token.clone()
        };
        let still_good = found(2, &revoked, &[(TOKEN, &still_good)]);
        let of_it = flaws(&before(), &calls, &still_good);
        assert_eq!(of_it, std::slice::from_ref(&wrong));
        let not_recorded = found(1, &[], &[(TOKEN, &token)]);
        assert_eq!(flaws(&before(), &calls[..1], &not_recorded), [wrong]);
        let gone = found(1, &[], &[]);
        assert_eq!(flaws(&before(), &calls[..1], &gone), [Flaw::Lost(make)]);
        let second = "workspaces/w/serviceAccounts/ci/tokens/u";
        let twice = found(2, &revoked, &[(TOKEN, &token), (second, &token)]);
        assert_eq!(
            flaws(&before(), &calls, &twice),
            [Flaw::Token(second.to_owned())]
        );
    }
}
