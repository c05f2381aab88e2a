use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chrono::TimeDelta;

use super::Clock;
use crate::identity::{PublicKey, SigningFolder, SigningFolderError, SigningKey};

fn put(folder: &Path, name: &str) -> SigningKey {
    let key = SigningKey::generate();
    put_key(folder, name, &key);
    key
}

fn put_key(folder: &Path, name: &str, key: &SigningKey) {
    let path = folder.join(name);
    fs::write(&path, &*key.to_pem().unwrap()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A name with a time that lies by so much after the clock's.
fn name(clock: &Clock, after: TimeDelta) -> String {
    format!("{}-x.pem", (clock.now() + after).format("%Y%m%dT%H%M%SZ"))
}

#[test]
fn the_newest_key_that_has_started_signs_and_all_are_published() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let old = put(folder.path(), &name(&clock, TimeDelta::days(-90)));
    let current = put(folder.path(), &name(&clock, TimeDelta::days(-1)));
    let next = put(folder.path(), &name(&clock, TimeDelta::minutes(5)));
    // What else may lie in a mounted folder.
    fs::create_dir(folder.path().join("..data")).unwrap();
    fs::write(folder.path().join(".half-written.pem"), "").unwrap();
    fs::write(folder.path().join("README"), "").unwrap();

    let keys = SigningFolder::load(folder.path(), clock.env()).unwrap();
    let published = |order: [&SigningKey; 3]| order.map(|key| key.public().clone());

    assert_eq!(keys.signer().kid(), current.kid());
    assert_eq!(keys.public_keys(), published([&current, &next, &old]));

    clock.advance(TimeDelta::minutes(5));
    assert_eq!(keys.signer().kid(), next.kid());
    assert_eq!(keys.public_keys(), published([&next, &current, &old]));

    // A clock that is set back far still finds a key.
    clock.advance(TimeDelta::days(-365));
    assert_eq!(keys.signer().kid(), old.kid());
}

#[test]
fn one_key_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let only = put(folder.path(), &name(&clock, TimeDelta::zero()));
    let keys = SigningFolder::load(folder.path(), clock.env()).unwrap();
    assert_eq!(keys.signer().kid(), only.kid());
    let published: Vec<PublicKey> = keys.public_keys();
    assert_eq!(published, [only.public().clone()]);
}

#[test]
fn a_folder_without_a_key_that_may_sign_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let load = || SigningFolder::load(folder.path(), clock.env()).unwrap_err();
    assert!(matches!(load(), SigningFolderError::Empty { .. }));
    put(folder.path(), &name(&clock, TimeDelta::minutes(1)));
    assert!(matches!(load(), SigningFolderError::Empty { .. }));
}

#[test]
fn a_name_that_says_no_time_is_refused() {
    for name in [
        "main.pem",
        "2026-01-31.pem",
        "20261331T093000Z-x.pem",
        "20260131T093000-x.pem",
    ] {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), name);
        let error = SigningFolder::load(folder.path(), Clock::new().env()).unwrap_err();
        assert!(
            matches!(error, SigningFolderError::Name { .. }),
            "{name}: {error}"
        );
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn the_same_key_under_two_names_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let key = put(folder.path(), &name(&clock, TimeDelta::days(-2)));
    put_key(folder.path(), &name(&clock, TimeDelta::days(-1)), &key);
    let error = SigningFolder::load(folder.path(), clock.env()).unwrap_err();
    assert!(
        matches!(error, SigningFolderError::Duplicate { .. }),
        "{error}"
    );
}
