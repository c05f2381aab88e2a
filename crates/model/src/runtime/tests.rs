use std::cmp::Ordering;

use proptest::prelude::*;

use super::{AirflowRelease, AirflowVersion, RuntimeVersion, VersionError};

fn runtime(text: &str) -> RuntimeVersion {
    text.parse()
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn airflow(text: &str) -> AirflowVersion {
    text.parse()
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn only_the_separator_tells_3_0_0_from_3_0_1() {
    assert_eq!(
        runtime("3.0.0").airflow_series().unwrap().to_string(),
        "2.1"
    );
    assert_eq!(
        runtime("3.0-1").airflow_series().unwrap().to_string(),
        "3.0"
    );
    assert!(runtime("3.0.0") < runtime("3.0-1"));
}

#[test]
fn a_runtime_version_says_its_airflow_series() {
    for (text, series) in [
        ("5.0.0", "2.3"),
        ("9.17.0", "2.7"),
        ("12.0.0", "2.10"),
        ("13.11.0-base", "2.11"),
        ("3.1-2", "3.1"),
        ("3.10-1", "3.10"),
        ("4.0-1", "4.0"),
    ] {
        assert_eq!(
            runtime(text).airflow_series().unwrap().to_string(),
            series,
            "{text}"
        );
    }
    for text in [
        "0.0.0", "1.0.0", "2.9.9", "14.0.0", "99.0.0", "2.11-1", "0.0-0",
    ] {
        assert_eq!(runtime(text).airflow_series(), None, "{text}");
    }
}

#[test]
fn runtime_versions_are_in_this_order() {
    let ordered = [
        "2.0.0",
        "3.0.0",
        "5.0.0-rc1",
        "5.0.0",
        "9.9.0",
        "9.10.0",
        "9.10.0-base",
        "12.0.0",
        "99.0.0",
        "0.0-0",
        "3.0-1",
        "3.1-2-nightly20241216",
        "3.1-2-nightly20241217",
        "3.1-2.dev1",
        "3.1-2.dev10",
        "3.1-2-alpha3",
        "3.1-2-beta1",
        "3.1-2-rc",
        "3.1-2-rc1",
        "3.1-2-rc.2",
        "3.1-2-RC10",
        "3.1-2",
        "3.1-2-base",
        "3.1-2-python-3.12",
        "3.3-8",
        "3.3-10",
        "3.9-1",
        "3.10-1",
    ];
    for pair in ordered.windows(2) {
        assert!(
            runtime(pair[0]) < runtime(pair[1]),
            "{} < {}",
            pair[0],
            pair[1]
        );
    }
}

#[test]
fn a_variant_is_the_same_version_and_not_the_same_text() {
    for variant in [
        "3.1-2-base",
        "3.1-2-python-3.12",
        "3.1-2-python-3.12-base",
        "3.1-2.post1",
    ] {
        assert_eq!(
            runtime("3.1-2").release_cmp(&runtime(variant)),
            Ordering::Equal,
            "{variant}"
        );
        assert_ne!(runtime("3.1-2"), runtime(variant));
    }
    assert_eq!(
        runtime("3.1-2-rc1").release_cmp(&runtime("3.1-2-rc1-base")),
        Ordering::Equal
    );
    assert_eq!(
        runtime("3.1-2-rc1").release_cmp(&runtime("3.1-2-base-rc1")),
        Ordering::Equal
    );
    assert_eq!(runtime("v3.1-2"), runtime("3.1-2"));
}

#[test]
fn a_word_that_only_begins_like_a_pre_release_is_a_variant() {
    for text in [
        "3.1-2-devel",
        "3.1-2-rca",
        "3.1-2-rc1a",
        "3.1-2-betamax",
        "3.1-2-a1",
    ] {
        assert_eq!(
            runtime("3.1-2").release_cmp(&runtime(text)),
            Ordering::Equal,
            "{text}"
        );
    }
}

#[test]
fn what_is_no_runtime_version_is_refused() {
    let too_long = format!("3.1-2-{}", "a".repeat(59));
    for (text, error) in [
        ("", VersionError::Runtime),
        ("v", VersionError::Runtime),
        ("vv3.1-2", VersionError::Runtime),
        ("3", VersionError::Runtime),
        ("3.1", VersionError::Runtime),
        ("3.1-", VersionError::Runtime),
        ("3.1_2", VersionError::Runtime),
        ("3-1-2", VersionError::Runtime),
        ("03.1-2", VersionError::Runtime),
        ("3.1-02", VersionError::Runtime),
        (" 3.1-2", VersionError::Runtime),
        ("-3.1-2", VersionError::Runtime),
        ("٣.1-2", VersionError::Runtime),
        ("latest", VersionError::Runtime),
        ("4294967296.0.0", VersionError::Number),
        ("3.1-99999999999999999999999", VersionError::Number),
        ("3.1-2-nightly202412161200", VersionError::Number),
        ("3.1-2rc1", VersionError::Suffix),
        ("3.1-2-", VersionError::Suffix),
        ("3.1-2-3", VersionError::Suffix),
        ("3.1.0-2", VersionError::Suffix),
        ("3.1-2.0", VersionError::Suffix),
        ("3.1-2--base", VersionError::Suffix),
        ("3.1-2-base-", VersionError::Suffix),
        ("3.1-2+base", VersionError::Suffix),
        ("3.1-2-bäse", VersionError::Suffix),
        ("3.1-2 ", VersionError::Suffix),
        (&too_long, VersionError::TooLong),
    ] {
        assert_eq!(text.parse::<RuntimeVersion>(), Err(error), "{text:?}");
    }
    assert!(too_long[..64].parse::<RuntimeVersion>().is_ok());
}

#[test]
fn airflow_versions_are_in_this_order() {
    let ordered = [
        "1.10.15",
        "2.3.0.dev0",
        "2.3.0a1",
        "2.3.0.alpha2",
        "2.3.0b1",
        "2.3.0rc1",
        "2.3.0rc2",
        "2.3.0-rc10",
        "2.3.0",
        "2.9.3",
        "2.10.0",
        "2.10.5",
        "2.10.5+astro.1",
        "2.10.5-python3.12",
        "3.0.0",
        "3.1.0rc1",
        "3.1.0",
    ];
    for pair in ordered.windows(2) {
        assert!(
            airflow(pair[0]) < airflow(pair[1]),
            "{} < {}",
            pair[0],
            pair[1]
        );
    }
}

#[test]
fn a_build_of_airflow_is_the_same_version() {
    for variant in [
        "2.10.5+astro.1",
        "2.10.5+rc1",
        "2.10.5-python3.12",
        "v2.10.5",
        "2.10.5.post1",
    ] {
        assert_eq!(
            airflow("2.10.5").release_cmp(&airflow(variant)),
            Ordering::Equal,
            "{variant}"
        );
    }
    assert!(airflow("3.1.0rc1+astro.1").is_pre_release());
    assert!(!airflow("3.1.0rc1").is_at_least(AirflowRelease::new(3, 1, 0)));
    assert!(airflow("3.1.0+astro.1").is_at_least(AirflowRelease::new(3, 1, 0)));
}

#[test]
fn what_is_no_airflow_version_is_refused() {
    for (text, error) in [
        ("", VersionError::Airflow),
        ("2", VersionError::Airflow),
        ("2.10", VersionError::Airflow),
        ("2.10.", VersionError::Airflow),
        ("2.010.5", VersionError::Airflow),
        ("3.1-2", VersionError::Airflow),
        ("slim-2.10.5", VersionError::Airflow),
        ("2.10.4294967296", VersionError::Number),
        ("2.10.5rc4294967296", VersionError::Number),
        ("2.10.5.1", VersionError::Suffix),
        ("2.10.5-", VersionError::Suffix),
        ("2.10.5+", VersionError::Suffix),
        ("2.10.5+a+b", VersionError::Suffix),
        ("2.10.5rc1+", VersionError::Suffix),
        ("2.10.5 ", VersionError::Suffix),
        (&format!("2.10.5{}", "a".repeat(59)), VersionError::TooLong),
    ] {
        assert_eq!(text.parse::<AirflowVersion>(), Err(error), "{text:?}");
    }
}

/// Few numbers and words, so that neighbours and equals are common.
const LIKE_A_VERSION: &str = "v?[0-3]\\.[0-2][.-][0-2]([.+_-]?(a|b|rc|RC|alpha|beta|dev|nightly|base|python)([.-]?[0-9]{1,2})?){0,2}";

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => LIKE_A_VERSION,
        1 => "v?[0-9]{1,12}\\.[0-9]{1,12}[.-][0-9]{1,12}[a-z0-9.+_-]{0,60}",
        1 => any::<String>(),
    ]
}

fn any_runtime() -> impl Strategy<Value = RuntimeVersion> {
    LIKE_A_VERSION.prop_filter_map("a version", |text| text.parse().ok())
}

fn any_airflow() -> impl Strategy<Value = AirflowVersion> {
    LIKE_A_VERSION.prop_filter_map("a version", |text| text.parse().ok())
}

fn check_order<T: Ord + PartialEq>(a: &T, b: &T, c: &T) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
    prop_assert_eq!(a == b, a.cmp(b) == Ordering::Equal);
    prop_assert_eq!(a.partial_cmp(b), Some(a.cmp(b)));
    if a <= b && b <= c {
        prop_assert!(a <= c);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_panics_and_what_parses_prints_as_it_was(text in any_text()) {
        let plain = text.strip_prefix('v').unwrap_or(&text);
        if let Ok(version) = text.parse::<RuntimeVersion>() {
            prop_assert_eq!(version.to_string(), plain);
            prop_assert_eq!(version.to_string().parse(), Ok(version));
        }
        if let Ok(version) = text.parse::<AirflowVersion>() {
            prop_assert_eq!(version.to_string(), plain);
            prop_assert_eq!(version.to_string().parse(), Ok(version));
        }
    }

    #[test]
    fn the_order_of_runtime_versions_is_total(a in any_runtime(), b in any_runtime(), c in any_runtime()) {
        check_order(&a, &b, &c)?;
        if a.release_cmp(&b) != Ordering::Equal {
            prop_assert_eq!(a.release_cmp(&b), a.cmp(&b));
        }
    }

    #[test]
    fn the_order_of_airflow_versions_is_total(a in any_airflow(), b in any_airflow(), c in any_airflow()) {
        check_order(&a, &b, &c)?;
        if a.release_cmp(&b) != Ordering::Equal {
            prop_assert_eq!(a.release_cmp(&b), a.cmp(&b));
        }
    }

    #[test]
    fn no_text_is_a_runtime_version_of_both_schemes(text in LIKE_A_VERSION) {
        if let Ok(version) = text.parse::<RuntimeVersion>() {
            let dashed = text.trim_start_matches('v').split('.').nth(1).unwrap().contains('-');
            prop_assert_eq!(version > "4294967295.0.0-x".parse().unwrap(), dashed);
        }
    }
}
