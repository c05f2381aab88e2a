//! How long to wait before trying again.

use std::time::Duration;

/// The pause after the given attempt, counted from 1: `first`, doubled each time up to `most`, and
/// spread by half in both directions, so that those who failed together do not return together.
pub fn pause(attempt: u32, first: Duration, most: Duration) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    doubled.min(most).mul_f64(rand::random_range(0.5..1.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_to_its_limit_and_no_number_of_attempts_overflows() {
        let (first, most) = (Duration::from_millis(10), Duration::from_secs(1));
        for attempt in [0, 1, 5, 40, u32::MAX] {
            let pause = pause(attempt, first, most);
            assert!(
                pause >= first / 2 && pause <= most * 3 / 2,
                "{attempt}: {pause:?}"
            );
        }
    }
}
