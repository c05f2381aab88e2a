use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::World;
use crate::identity::{FileError, KeyError, SigningKey, TrustError, TrustFile};

fn write(path: &Path, contents: impl AsRef<[u8]>, mode: u32) {
    fs::write(path, contents).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_reads_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    let key = SigningKey::generate();
    write(&path, &*key.to_pem().unwrap(), 0o600);
    let loaded = SigningKey::load(&path).unwrap();
    assert_eq!(loaded.public(), key.public());
    assert_eq!(loaded.sign(b"message"), key.sign(b"message"));
}

#[test]
fn a_key_of_openssl_is_taken() {
    // The seed of RFC 8037, A.1, as `openssl genpkey -algorithm ed25519` writes it: version 1, no
    // public half.
    let pem = "-----BEGIN PRIVATE KEY-----\n\
               MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
               -----END PRIVATE KEY-----\n";
    let key = SigningKey::from_pem(pem).unwrap();
    assert_eq!(
        key.public().x(),
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    );
}

#[test]
fn a_key_that_others_can_read_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    for mode in [0o604, 0o640, 0o644, 0o660, 0o602, 0o666] {
        write(&path, &*SigningKey::generate().to_pem().unwrap(), mode);
        let error = SigningKey::load(&path).unwrap_err();
        assert!(
            matches!(error, KeyError::File(FileError::Exposed { .. })),
            "{mode:o}: {error}"
        );
        let advice = format!("chmod 600 {}", path.display());
        assert!(error.to_string().contains(&advice), "{error}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(SigningKey::load(&path).is_ok(), "{mode:o}");
    }
}

#[test]
fn what_is_no_key_is_refused_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
    for contents in [&b""[..], b"key", b"\xff\xfe", public.as_bytes()] {
        write(&path, contents, 0o600);
        let error = SigningKey::load(&path).unwrap_err();
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
    }
    let error = SigningKey::load(&folder.path().join("missing.pem")).unwrap_err();
    assert!(error.to_string().contains("missing.pem"), "{error}");
}

#[test]
fn a_trust_file_that_others_can_change_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust.json");
    let json = World::new().trust().to_json().unwrap();
    for mode in [0o620, 0o602, 0o666] {
        write(&path, &json, mode);
        let error = TrustFile::load(&path).unwrap_err();
        assert!(
            matches!(error, TrustError::File(FileError::Writable { .. })),
            "{mode:o}"
        );
    }
    write(&path, &json, 0o644);
    assert!(TrustFile::load(&path).is_ok());
}

#[test]
fn what_is_shown_of_a_key_is_not_private() {
    let key = SigningKey::generate();
    let pem = key.to_pem().unwrap();
    let der = BASE64_STANDARD.decode(
        pem.lines()
            .filter(|line| !line.starts_with('-'))
            .collect::<String>(),
    );
    let seed = &der.unwrap()[16..48];
    let shown = format!("{key:?} {:#?}", key.public());
    assert!(shown.contains(key.kid()));
    let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!shown.contains(&hex) && !shown.contains(&format!("{seed:?}")));
    assert!(!shown.contains(&BASE64_STANDARD.encode(seed)));
}
