use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use model::ServiceName;

use super::{ACCOUNT, Clock, id};
use crate::identity::{
    AUTHORIZATION_ISSUER, Keyring, KeyringError, LOCAL_ISSUER, SigningKey, TokenError,
    TokenVerifier, TrustFile, mint_service_account_token, mint_user_token, service_issuer,
};

/// Every file below a folder, with its contents and its permissions.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
        if path.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            files.extend(self::files(&path));
        } else {
            files.insert(path.clone(), (fs::read(&path).unwrap(), mode));
        }
    }
    files
}

fn init(folder: &Path, clock: &Clock) -> Keyring {
    Keyring::init(folder, &clock.env()).unwrap()
}

fn registrys_verifier(keyring: &Keyring, clock: &Clock) -> TokenVerifier {
    TokenVerifier::new(
        keyring.trust().unwrap(),
        ServiceName::DeployRegistry,
        clock.env(),
    )
}

fn orchestrators_token(keyring: &Keyring, clock: &Clock) -> String {
    let tokens = keyring
        .service_tokens(ServiceName::RollbackOrchestrator, clock.env())
        .unwrap();
    tokens
        .token(ServiceName::DeployRegistry)
        .unwrap()
        .to_string()
}

#[test]
fn a_new_keyring_is_all_that_the_services_need() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let env = clock.env();
    let keyring = init(&folder.path().join("new/keyring"), &clock);
    let verifier = registrys_verifier(&keyring, &clock);

    let local = keyring.local_issuer().unwrap();
    let person = mint_user_token(
        &local,
        LOCAL_ISSUER,
        &id("admin"),
        &[],
        TimeDelta::hours(24),
        &env,
    );
    assert!(verifier.verify(&person.unwrap()).is_ok());

    assert!(
        verifier
            .verify(&orchestrators_token(&keyring, &clock))
            .is_ok()
    );

    let signing = keyring.signing_folder(env.clone()).unwrap();
    let account = mint_service_account_token(
        &signing.signer(),
        AUTHORIZATION_ISSUER,
        &ACCOUNT.parse().unwrap(),
        env.new_uuid(),
        clock.now() + TimeDelta::days(1),
        &env,
    );
    assert!(verifier.verify(&account.unwrap()).is_ok());
    let trust = keyring.trust().unwrap();
    assert!(trust.permit_keys().get(signing.signer().kid()).is_some());
}

#[test]
fn only_the_owner_can_look_into_a_keyring() {
    let folder = tempfile::tempdir().unwrap();
    let files = {
        init(&folder.path().join("keyring"), &Clock::new());
        files(folder.path())
    };
    assert_eq!(files.len(), 7, "{:?}", files.keys());
    for (path, (_, mode)) in files {
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}

#[test]
fn a_second_init_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    init(folder.path(), &clock);
    let before = files(folder.path());
    clock.advance(TimeDelta::days(1));
    init(folder.path(), &clock);
    assert_eq!(files(folder.path()), before);
}

#[test]
fn a_key_that_is_missing_is_made_again_and_trusted_beside_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let keyring = init(folder.path(), &clock);
    let old_token = orchestrators_token(&keyring, &clock);
    let before = files(folder.path());
    let lost = folder.path().join("keys/rollback-orchestrator.pem");
    fs::remove_file(&lost).unwrap();

    init(folder.path(), &clock);

    let verifier = registrys_verifier(&keyring, &clock);
    assert!(verifier.verify(&old_token).is_ok());
    assert!(
        verifier
            .verify(&orchestrators_token(&keyring, &clock))
            .is_ok()
    );
    let after = files(folder.path());
    assert!(before.keys().eq(after.keys()));
    let changed: Vec<_> = before
        .keys()
        .filter(|path| before[*path] != after[*path])
        .collect();
    assert_eq!(changed, [&lost, &folder.path().join("trust.json")]);
}

#[test]
fn a_trust_file_that_is_missing_is_made_from_the_keys_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let keyring = init(folder.path(), &clock);
    let before = files(folder.path());
    fs::remove_file(folder.path().join("trust.json")).unwrap();
    assert!(matches!(keyring.trust(), Err(KeyringError::Missing { .. })));
    init(folder.path(), &clock);
    assert_eq!(files(folder.path()), before);
}

#[test]
fn what_an_operator_took_out_of_the_trust_file_is_not_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let keyring = init(folder.path(), &clock);
    let trust = keyring.trust().unwrap();
    let orchestrator = service_issuer(ServiceName::RollbackOrchestrator);
    let other = SigningKey::generate();
    // The local issuer is gone with its key; the orchestrator's key was replaced by hand.
    let issuers = trust
        .issuers()
        .filter(|issuer| **issuer.name() != *LOCAL_ISSUER)
        .map(|issuer| {
            let mut issuer = issuer.clone();
            if **issuer.name() == *orchestrator {
                let keys = [other.public().clone()];
                let keys = crate::identity::KeySet::new(keys).unwrap();
                issuer = crate::identity::TrustedIssuer::new(&*orchestrator, issuer.kind(), keys);
            }
            issuer
        });
    let reduced = TrustFile::new(issuers, trust.permit_keys().clone()).unwrap();
    fs::write(folder.path().join("trust.json"), reduced.to_json().unwrap()).unwrap();
    fs::remove_file(folder.path().join("keys/local-issuer.pem")).unwrap();

    init(folder.path(), &clock);

    assert_eq!(keyring.trust().unwrap(), reduced);
    assert!(matches!(
        keyring.local_issuer(),
        Err(KeyringError::Missing { .. })
    ));
    let error = registrys_verifier(&keyring, &clock)
        .verify(&orchestrators_token(&keyring, &clock))
        .unwrap_err();
    assert!(matches!(error, TokenError::UnknownKey { .. }), "{error}");
}

#[test]
fn what_a_crash_left_behind_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let keyring = init(folder.path(), &clock);
    // As after a crash between the trust file and the keys, with one half written.
    fs::remove_dir_all(folder.path().join("keys")).unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    fs::set_permissions(
        folder.path().join("keys"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    fs::write(
        folder.path().join("keys/.deploy-registry.pem.new"),
        "-----BEG",
    )
    .unwrap();

    init(folder.path(), &clock);

    let verifier = registrys_verifier(&keyring, &clock);
    assert!(
        verifier
            .verify(&orchestrators_token(&keyring, &clock))
            .is_ok()
    );
    let signing = keyring.signing_folder(clock.env()).unwrap();
    assert!(
        keyring
            .trust()
            .unwrap()
            .permit_keys()
            .get(signing.signer().kid())
            .is_some()
    );
    assert!(
        files(folder.path())
            .into_values()
            .all(|(_, mode)| mode == 0o600)
    );
}

#[test]
fn many_who_init_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| init(folder.path(), &clock));
        }
    });
    assert_eq!(files(folder.path()).len(), 7);
    let keyring = Keyring::open(folder.path()).unwrap();
    let verifier = registrys_verifier(&keyring, &clock);
    assert!(
        verifier
            .verify(&orchestrators_token(&keyring, &clock))
            .is_ok()
    );
}

#[test]
fn a_damaged_keyring_is_not_repaired_by_guessing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    init(folder.path(), &clock);
    let trust = folder.path().join("trust.json");
    fs::write(&trust, "{").unwrap();
    let error = Keyring::init(folder.path(), &clock.env()).unwrap_err();
    assert!(error.to_string().contains("trust.json"), "{error}");
    assert_eq!(fs::read(&trust).unwrap(), b"{");
}

#[test]
fn what_is_missing_is_told_with_its_path_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = Keyring::open(folder.path().join("nowhere")).unwrap_err();
    assert!(error.to_string().contains("nowhere") && error.to_string().contains("reprise init"));

    let keyring = Keyring::open(folder.path()).unwrap();
    let errors = [
        keyring.trust().unwrap_err(),
        keyring.local_issuer().unwrap_err(),
        keyring
            .service_key(ServiceName::DeployRegistry)
            .unwrap_err(),
        keyring.signing_folder(Clock::new().env()).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, KeyringError::Missing { .. }), "{error}");
    }
}

#[test]
fn a_service_needs_no_more_than_its_own_key_and_the_trust_file() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    init(folder.path(), &clock);
    let keys = folder.path().join("keys");
    fs::remove_dir_all(keys.join("signing")).unwrap();
    for other in [
        "authorization.pem",
        "deploy-registry.pem",
        "local-issuer.pem",
    ] {
        fs::remove_file(keys.join(other)).unwrap();
    }
    let keyring = Keyring::open(folder.path()).unwrap();
    let verifier = registrys_verifier(&keyring, &clock);
    assert!(
        verifier
            .verify(&orchestrators_token(&keyring, &clock))
            .is_ok()
    );
}

#[test]
fn a_new_signing_key_is_trusted_before_it_signs() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let keyring = init(folder.path(), &clock);
    let old = keyring
        .signing_folder(clock.env())
        .unwrap()
        .signer()
        .kid()
        .to_owned();

    let new = keyring
        .add_signing_key(clock.now() + TimeDelta::minutes(5))
        .unwrap();

    let trust = keyring.trust().unwrap();
    for kid in [old.as_str(), new.kid()] {
        assert!(trust.permit_keys().get(kid).is_some());
        assert!(
            trust
                .issuer(AUTHORIZATION_ISSUER)
                .unwrap()
                .keys()
                .get(kid)
                .is_some()
        );
    }
    let signing = keyring.signing_folder(clock.env()).unwrap();
    assert_eq!(signing.signer().kid(), old);
    clock.advance(TimeDelta::minutes(5));
    assert_eq!(signing.signer().kid(), new.kid());
}
