use proto::registry::v1::UploadDagBundleRequest;
use proto::registry::v1::upload_dag_bundle_request::Part;

use crate::harness::{DEPLOYMENT, Orders, Setup, refused, requests};

on_both_databases!(an_upload_tells_what_is_wrong_with_its_header);

async fn an_upload_tells_what_is_wrong_with_its_header(setup: Setup) {
    let orders = Orders::new(setup).await;
    let zeros = "0".repeat(64);
    for (what, sha256, size, fields) in [
        ("no digest", "", 1, ["header.sha256"].as_slice()),
        ("a digest with its kind", "sha256:00", 1, &["header.sha256"]),
        ("no byte", &zeros, 0, &["header.size_bytes"]),
        ("less than no byte", &zeros, -1, &["header.size_bytes"]),
        (
            "nothing right",
            "!",
            i64::MIN,
            &["header.sha256", "header.size_bytes"],
        ),
    ] {
        let mut message = requests::header(DEPLOYMENT, sha256, 0);
        let UploadDagBundleRequest {
            part: Some(Part::Header(header)),
        } = &mut message
        else {
            panic!("no header");
        };
        header.size_bytes = size;
        let upload = tokio_stream::iter([message]);
        let refusal = refused(orders.dana.registry().upload_dag_bundle(upload).await);
        refusal.when(what).names_fields(fields);
    }
}
