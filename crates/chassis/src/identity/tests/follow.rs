//! What changes in the files of a keyring while the service runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::TimeDelta;
use model::ServiceName;
use serde_json::Value;
use tempfile::TempDir;

use super::{ACCOUNT, Clock, World, id};
use crate::environment::Environment;
use crate::identity::{
    AUTHORIZATION_ISSUER, JwsError, KeySet, Keyring, KeyringFollower, LOCAL_ISSUER, PermitError,
    PermitVerifier, SigningFolder, TokenError, TokenVerifier, mint_service_account_token,
    mint_user_token, permit,
};

/// A keyring, and those who follow it.
struct Followed {
    clock: Clock,
    env: Environment,
    keyring: Keyring,
    verifier: Arc<TokenVerifier>,
    permits: PermitVerifier,
    signing: SigningFolder,
    follower: KeyringFollower,
    _folder: TempDir,
}

impl Followed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new();
        let env = clock.env();
        let keyring = Keyring::init(folder.path().join("keys"), &env).unwrap();
        let trust = keyring.trust().unwrap();
        let permits = PermitVerifier::new(
            trust.permit_keys().clone(),
            AUTHORIZATION_ISSUER,
            env.clone(),
        );
        let verifier = Arc::new(TokenVerifier::new(
            trust,
            ServiceName::DeployRegistry,
            env.clone(),
        ));
        let signing = keyring.signing_folder(env.clone()).unwrap();
        Self {
            follower: KeyringFollower::new(keyring.clone(), Arc::clone(&verifier))
                .permits(permits.clone())
                .signing(signing.clone()),
            clock,
            env,
            keyring,
            verifier,
            permits,
            signing,
            _folder: folder,
        }
    }

    fn trust_path(&self) -> PathBuf {
        self.keyring.folder().join("trust.json")
    }

    /// Changes the trust file as an operator with an editor would.
    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let text = fs::read(self.trust_path()).unwrap();
        let mut json = serde_json::from_slice(&text).unwrap();
        change(&mut json);
        fs::write(self.trust_path(), json.to_string()).unwrap();
    }

    fn user_token(&self) -> String {
        mint_user_token(
            &self.keyring.local_issuer().unwrap(),
            LOCAL_ISSUER,
            &id("alice"),
            &[],
            TimeDelta::hours(1),
            &self.env,
        )
        .unwrap()
    }

    fn account_token(&self) -> String {
        mint_service_account_token(
            &self.signing.signer(),
            AUTHORIZATION_ISSUER,
            &ACCOUNT.parse().unwrap(),
            self.env.new_uuid(),
            self.clock.now() + TimeDelta::days(30),
            &self.env,
        )
        .unwrap()
    }

    /// Whether permits of the key that signs now are taken. Only the key is of interest.
    fn takes_permits(&self) -> bool {
        let world = World {
            clock: self.clock.clone(),
            ..World::new()
        };
        let permit = permit::sign(&self.signing.signer(), &world.permit()).unwrap();
        match self.permits.verify(&permit) {
            Ok(_) => true,
            Err(PermitError::UnknownKey { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn without_issuer(json: &mut Value, name: &str) {
    let issuers = json["issuers"].as_array_mut().unwrap();
    issuers.retain(|issuer| issuer["issuer"] != name);
}

#[test]
fn a_token_that_was_verified_dies_with_the_trust_in_its_issuer() {
    let mut followed = Followed::new();
    let token = followed.user_token();
    assert!(followed.verifier.verify(&token).is_ok());

    followed.edit(|json| without_issuer(json, LOCAL_ISSUER));
    followed.follower.look();
    assert!(matches!(
        followed.verifier.verify(&token),
        Err(TokenError::UnknownIssuer { .. })
    ));
}

#[test]
fn a_new_signing_key_is_trusted_and_shown_at_once_and_signs_when_it_starts() {
    let mut followed = Followed::new();
    let old = followed.signing.signer();
    let old_token = followed.account_token();
    let start = followed.clock.now() + TimeDelta::minutes(15);
    let new = followed.keyring.add_signing_key(start).unwrap();

    followed.follower.look();
    assert_eq!(followed.signing.signer().kid(), old.kid());
    assert_eq!(
        followed.signing.public_keys(),
        [old.public().clone(), new.clone()]
    );

    followed.clock.advance(TimeDelta::minutes(15));
    assert_eq!(followed.signing.signer().public(), &new);
    assert_eq!(
        followed.signing.public_keys(),
        [new, old.public().clone()],
        "the one that signs is the first"
    );
    for token in [old_token, followed.account_token()] {
        followed.verifier.verify(&token).unwrap();
    }
    assert!(followed.takes_permits());
}

#[test]
fn a_key_that_is_taken_out_of_the_trust_file_is_trusted_no_more() {
    let mut followed = Followed::new();
    let token = followed.account_token();
    assert!(followed.verifier.verify(&token).is_ok());
    assert!(followed.takes_permits());

    let kid = followed.signing.signer().kid().to_owned();
    let later = followed.clock.now() + TimeDelta::days(1);
    followed.keyring.add_signing_key(later).unwrap();
    followed.edit(|json| {
        let out = |keys: &mut Value| keys.as_array_mut().unwrap().retain(|key| key["kid"] != kid);
        out(&mut json["permit_keys"]);
        for issuer in json["issuers"].as_array_mut().unwrap() {
            out(&mut issuer["keys"]);
        }
    });
    followed.follower.look();
    assert!(matches!(
        followed.verifier.verify(&token),
        Err(TokenError::UnknownKey { .. })
    ));
    assert!(!followed.takes_permits());
}

#[test]
fn a_broken_trust_file_changes_nothing_until_it_is_mended() {
    let mut followed = Followed::new();
    let token = followed.user_token();
    let good = fs::read(followed.trust_path()).unwrap();
    let nobody = br#"{"version": 1, "issuers": [], "permit_keys": []}"#;
    for broken in [&b""[..], b"{", &good[..good.len() / 2], nobody] {
        fs::write(followed.trust_path(), broken).unwrap();
        followed.follower.look();
        assert!(followed.verifier.verify(&token).is_ok());
        assert!(followed.takes_permits());
    }
    fs::remove_file(followed.trust_path()).unwrap();
    followed.follower.look();
    assert!(followed.verifier.verify(&token).is_ok());

    fs::write(followed.trust_path(), &good).unwrap();
    followed.edit(|json| without_issuer(json, LOCAL_ISSUER));
    followed.follower.look();
    assert!(followed.verifier.verify(&token).is_err());
}

#[test]
fn a_signing_folder_that_has_lost_its_keys_still_signs() {
    let mut followed = Followed::new();
    let signer = followed.signing.signer();
    let folder = followed.keyring.folder().join("keys/signing");
    let empty = |folder: &Path| {
        for file in fs::read_dir(folder).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    };
    empty(&folder);
    followed.follower.look();
    assert_eq!(followed.signing.signer().kid(), signer.kid());

    // A key that only starts later is no key that may sign.
    let later = followed.clock.now() + TimeDelta::minutes(1);
    let next = followed.keyring.add_signing_key(later).unwrap();
    followed.follower.look();
    assert_eq!(followed.signing.signer().kid(), signer.kid());

    followed.clock.advance(TimeDelta::minutes(1));
    followed.follower.look();
    assert_eq!(followed.signing.public_keys(), [next]);

    fs::remove_dir_all(&folder).unwrap();
    followed.follower.look();
    assert_eq!(followed.signing.public_keys().len(), 1);
}

#[test]
fn trust_is_replaced_whole() {
    let followed = Followed::new();
    let trust = followed.keyring.trust().unwrap();
    assert!(!followed.verifier.trust(trust.clone()), "nothing changed");
    let other = Followed::new().keyring.trust().unwrap();
    assert!(followed.verifier.trust(other));
    assert!(matches!(
        followed.verifier.verify(&followed.user_token()),
        Err(TokenError::UnknownKey { .. } | TokenError::Jws(JwsError::Signature))
    ));
    followed.permits.trust(KeySet::default());
    assert!(!followed.takes_permits());
}
