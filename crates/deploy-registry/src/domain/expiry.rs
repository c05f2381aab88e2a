use super::{Deploy, History};
use chrono::{DateTime, TimeDelta, Utc};

/// How long a deploy stays a possible target of a rollback after it ceased to be the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention(TimeDelta);

impl Retention {
    pub(crate) fn days(days: u32) -> Self {
        Self(TimeDelta::days(days.into()))
    }

    /// A deploy that ceased to be current at this time, or before, has expired by now, unless it is
    /// one of those that never do.
    pub(crate) fn reaches_back_to(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now.checked_sub_signed(self.0)
            .unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// When a deploy stops being a possible target: the retention after it ceased to be current, or
    /// after its creation if it never was. The current deploy and the one before it never do, so
    /// that there is a way back however long nobody has deployed; nor does one that is pinned.
    pub(crate) fn expire_time(self, deploy: &Deploy, history: History) -> Option<DateTime<Utc>> {
        let number = deploy.name.number();
        if number == history.current || number == history.previous || deploy.pin.is_some() {
            return None;
        }
        let from = deploy.ceased_time.unwrap_or(deploy.create_time);
        Some(
            from.checked_add_signed(self.0)
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
        )
    }
}

#[cfg(test)]
mod tests {
    use model::DeployNumber;

    use super::*;
    use crate::domain::Pin;
    use crate::domain::deploy::tests::deploy;

    #[test]
    fn a_deploy_expires_the_retention_after_it_ceased_to_be_current() {
        let time = |day: i64| DateTime::from_timestamp(day * 86_400, 0).unwrap();
        let retention = Retention::days(90);
        let number = |number| DeployNumber::new(number).unwrap();
        let history = History {
            latest: number(9),
            current: number(8),
            previous: number(6),
        };
        // Deploy 7 failed, and 9 is on its way: neither was ever current.
        for (deploy_number, ceased, expected) in [
            (1, Some(time(10)), Some(time(100))),
            (5, Some(time(20)), Some(time(110))),
            (6, Some(time(20)), None),
            (7, None, Some(time(91))),
            (8, None, None),
            (9, None, Some(time(91))),
        ] {
            let mut deploy = deploy(deploy_number);
            deploy.create_time = time(1);
            deploy.ceased_time = ceased;
            let found = retention.expire_time(&deploy, history);
            assert_eq!(found, expected, "deploy {deploy_number}");
        }
    }

    #[test]
    fn a_deploy_that_is_pinned_does_not_expire() {
        let number = |number| DeployNumber::new(number).unwrap();
        let history = History {
            latest: number(9),
            current: number(9),
            previous: number(8),
        };
        let mut deploy = deploy(1);
        assert!(Retention::days(90).expire_time(&deploy, history).is_some());
        deploy.pin = Some(Pin {
            by: deploy.created_by.clone(),
            time: deploy.create_time,
        });
        assert_eq!(Retention::days(90).expire_time(&deploy, history), None);
    }

    #[test]
    fn a_retention_beyond_the_end_of_time_does_not_panic() {
        let history = History {
            latest: DeployNumber::NONE,
            current: DeployNumber::NONE,
            previous: DeployNumber::NONE,
        };
        let mut deploy = deploy(1);
        deploy.create_time = DateTime::<Utc>::MAX_UTC;
        let expires = Retention::days(u32::MAX).expire_time(&deploy, history);
        assert_eq!(expires, Some(DateTime::<Utc>::MAX_UTC));
    }
}
