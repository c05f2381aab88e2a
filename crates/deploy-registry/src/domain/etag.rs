use model::Sha256Digest;
use sha2::{Digest, Sha256};

/// A short text that changes whenever one of the parts does.
pub(super) fn etag(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\n"));
    Sha256Digest::new(digest.into())
        .to_string()
        .chars()
        .take(16)
        .collect()
}
