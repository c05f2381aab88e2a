//! What is known of the tokens of service accounts.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use model::names::{NameError, Principal, ServiceAccountName};
use uuid::Uuid;

/// How long a token is remembered after its expiry, for those who look into what happened.
pub(crate) const KEPT_AFTER_EXPIRY: TimeDelta = TimeDelta::days(90);

/// The id of a service account's token: its `jti`, and the last part of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TokenId(pub(crate) Uuid);

impl TokenId {
    /// Reads a token's `jti`. Tokens of service accounts have a UUID there, in its one spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let id = Self(Uuid::try_parse(text).ok()?);
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// `{service account}/tokens/{uuid}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenName {
    pub(crate) account: ServiceAccountName,
    pub(crate) id: TokenId,
}

impl TokenName {
    const FORM: &'static str = "workspaces/{workspace}/serviceAccounts/{account}/tokens/{uuid} or \
         workspaces/{workspace}/deployments/{deployment}/serviceAccounts/{account}/tokens/{uuid}";
}

impl FromStr for TokenName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let form = NameError::Form {
            expected: Self::FORM,
        };
        let (account, id) = text.rsplit_once("/tokens/").ok_or(form.clone())?;
        let account = account.parse().map_err(|error| {
            let of_form = matches!(error, NameError::Form { expected: _ });
            if of_form { form } else { error }
        })?;
        Ok(Self {
            account,
            id: TokenId::parse(id).ok_or(NameError::Uuid)?,
        })
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/tokens/{}", self.account, self.id)
    }
}

/// What is known of a token that was given out; not the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceAccountToken {
    pub(crate) name: TokenName,
    pub(crate) description: String,
    /// In whole seconds, as the token says it.
    pub(crate) expire_time: DateTime<Utc>,
    pub(crate) created_by: Principal,
    pub(crate) create_time: DateTime<Utc>,
    /// When it was last seen.
    pub(crate) last_use_time: Option<DateTime<Utc>>,
    pub(crate) revocation: Option<Revocation>,
}

/// That a token was ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    pub(crate) time: DateTime<Utc>,
    pub(crate) by: Principal,
    /// Why, in their own words; empty if they said nothing.
    pub(crate) reason: String,
}

/// What a token must still be in the store for, so that it can be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The token of a person or of a service: its issuer vouches for it, nothing is stored.
    Unrecorded,
    /// The token of a service account.
    Recorded {
        /// Whose it is.
        account: ServiceAccountName,
        /// Its id.
        id: TokenId,
        /// When it must not have expired, if its expiry counts.
        at: Option<DateTime<Utc>>,
    },
}

impl Credential {
    /// The id to look up.
    pub(crate) fn recorded_id(&self) -> Option<TokenId> {
        match self {
            Self::Unrecorded => None,
            Self::Recorded {
                account: _,
                id,
                at: _,
            } => Some(*id),
        }
    }

    /// Whether the token counts, given what is stored under its id.
    pub(crate) fn stands(&self, record: Option<&TokenRecord>) -> bool {
        match (self, record) {
            (Self::Unrecorded, _) => true,
            (Self::Recorded { .. }, None) => false,
            (Self::Recorded { account, id: _, at }, Some(record)) => {
                let TokenRecord {
                    account: of,
                    expire_time,
                    revoked,
                } = record;
                !revoked && of == account && at.is_none_or(|at| at < *expire_time)
            }
        }
    }
}

/// What decides whether a token counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenRecord {
    pub(crate) account: ServiceAccountName,
    pub(crate) expire_time: DateTime<Utc>,
    pub(crate) revoked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn account(id: &str) -> ServiceAccountName {
        format!("workspaces/w/serviceAccounts/{id}")
            .parse()
            .unwrap()
    }

    #[test]
    fn only_a_token_that_is_known_for_its_account_and_neither_expired_nor_revoked_stands() {
        let id = TokenId(Uuid::from_u128(7));
        let record = TokenRecord {
            account: account("ci"),
            expire_time: at(100),
            revoked: false,
        };
        let revoked = TokenRecord {
            revoked: true,
            ..record.clone()
        };
        for (name, time, record, stands) in [
            ("ci", Some(99), Some(&record), true),
            ("ci", Some(100), Some(&record), false),
            ("ci", Some(99), None, false),
            ("other", Some(99), Some(&record), false),
            // A grant outlives the token that it was given for.
            ("ci", None, Some(&record), true),
            ("ci", None, None, false),
            ("ci", Some(99), Some(&revoked), false),
            ("ci", None, Some(&revoked), false),
        ] {
            let credential = Credential::Recorded {
                account: account(name),
                id,
                at: time.map(at),
            };
            assert_eq!(credential.stands(record), stands, "{name} {time:?}");
        }
        assert!(Credential::Unrecorded.stands(None));
    }

    #[test]
    fn a_token_id_has_one_spelling() {
        let id = TokenId(Uuid::from_u128(0xab));
        assert_eq!(TokenId::parse(&id.to_string()), Some(id));
        for other in [
            "",
            "x",
            &id.to_string().to_uppercase(),
            &id.0.simple().to_string(),
        ] {
            assert_eq!(TokenId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_token_name_is_that_of_its_account_and_a_uuid() {
        let uuid = "11111111-1111-4111-8111-111111111111";
        for parent in ["workspaces/w", "workspaces/w/deployments/d"] {
            let text = format!("{parent}/serviceAccounts/ci/tokens/{uuid}");
            let name = text.parse::<TokenName>().unwrap();
            assert_eq!(name.to_string(), text);
            assert_eq!(name.account.parent().to_string(), parent);
        }
        for (text, is_form) in [
            (String::new(), true),
            ("workspaces/w/serviceAccounts/ci".to_owned(), true),
            (format!("workspaces/w/tokens/{uuid}"), true),
            (format!("serviceAccounts/ci/tokens/{uuid}"), true),
            (
                format!("workspaces/w/serviceAccounts/ci/tokens/{uuid}/"),
                false,
            ),
            ("workspaces/w/serviceAccounts/ci/tokens/x".to_owned(), false),
            (
                format!("workspaces/w/serviceAccounts/-/tokens/{uuid}"),
                false,
            ),
        ] {
            let error = text.parse::<TokenName>().unwrap_err();
            let found = matches!(
                error,
                NameError::Form {
                    expected: TokenName::FORM
                }
            );
            assert_eq!(found, is_form, "{text}: {error}");
        }
    }
}
