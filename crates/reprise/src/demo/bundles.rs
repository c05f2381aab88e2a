//! The DAG bundles that the demo ships: a small Airflow project in its versions. The sources are in
//! `demo/project`.

use sha2::{Digest, Sha256};

/// A DAG bundle as it is uploaded.
pub(super) struct Bundle {
    pub bytes: &'static [u8],
}

pub(super) const V1: Bundle = Bundle {
    bytes: include_bytes!("../../demo/bundles/v1.tar.gz"),
};
pub(super) const V2: Bundle = Bundle {
    bytes: include_bytes!("../../demo/bundles/v2.tar.gz"),
};
pub(super) const V3: Bundle = Bundle {
    bytes: include_bytes!("../../demo/bundles/v3.tar.gz"),
};
pub(super) const V4_BROKEN: Bundle = Bundle {
    bytes: include_bytes!("../../demo/bundles/v4-broken.tar.gz"),
};

impl Bundle {
    /// The SHA-256 digest of the bytes, in lowercase hexadecimal.
    pub(super) fn sha256(&self) -> String {
        hex(&Sha256::digest(self.bytes))
    }
}

/// Bytes in lowercase hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
