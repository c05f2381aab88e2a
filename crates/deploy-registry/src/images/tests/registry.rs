//! What Docker's registry answers.

use super::real::RealRegistry;
use super::*;

const LABELS: &str = r#"{"io.astronomer.docker.runtime.version": "3.3-7",
    "io.astronomer.docker.airflow.version": "3.3.1+astro.4"}"#;
const OTHER_LABELS: &str = r#"{"org.apache.airflow.version": "2.10.5"}"#;

#[tokio::test]
async fn a_tag_is_resolved_to_what_it_points_to_now() {
    let registry = RealRegistry::start();
    let asker = Asker::new(&registry.host).await;
    let first = registry.push("latest", LABELS).await;
    let seen = asker.by_tag("latest").await.unwrap();
    assert_eq!(seen.tag_digest, Some(first));
    let found = FoundImage {
        digest: first,
        versions: versions("3.3-7", "3.3.1"),
    };
    assert_eq!(seen.image, Some(found.clone()));

    let second = registry.push("latest", OTHER_LABELS).await;
    let seen = asker.by_tag("latest").await.unwrap();
    assert_eq!(seen.tag_digest, Some(second));
    assert_eq!(seen.image.unwrap().versions, versions("", "2.10.5"));
    // What the tag pointed to before is there by its digest.
    let seen = asker.by_digest(first).await.unwrap();
    assert_eq!((seen.tag_digest, seen.image), (None, Some(found.clone())));
    let tag = "latest".parse().unwrap();
    let both = asker
        .images
        .look_up(&asker.repository, Some(&tag), Some(first));
    let seen = both.await.unwrap();
    assert_eq!((seen.tag_digest, seen.image), (Some(second), Some(found)));
}

#[tokio::test]
async fn a_manifest_that_is_deleted_is_gone() {
    let registry = RealRegistry::start();
    let asker = Asker::new(&registry.host).await;
    let image = registry.push("1", LABELS).await;
    let other = registry.push("2", OTHER_LABELS).await;
    assert!(asker.has(other).await.unwrap());
    registry.delete(image).await;
    assert!(!asker.has(image).await.unwrap());
    assert!(asker.has(other).await.unwrap());
    let nothing = SeenImage {
        tag_digest: None,
        image: None,
    };
    assert_eq!(asker.by_digest(image).await.unwrap(), nothing);
    assert_eq!(asker.by_tag("none").await.unwrap(), nothing);
    // Pushed again, it is there at once: only what is there is remembered.
    assert_eq!(registry.push("1", LABELS).await, image);
    assert!(asker.has(image).await.unwrap());
}

#[tokio::test]
async fn an_index_counts_as_the_image_of_its_first_platform() {
    let registry = RealRegistry::start();
    let asker = Asker::new(&registry.host).await;
    let attestation = registry.push("attestation", "{}").await;
    let amd64 = registry.push("amd64", LABELS).await;
    let arm64 = registry.push("arm64", OTHER_LABELS).await;
    let entries = [("unknown", attestation), ("amd64", amd64), ("arm64", arm64)];
    let index = registry.push_index("1", &entries).await;
    let seen = asker.by_tag("1").await.unwrap();
    assert_eq!(seen.tag_digest, Some(index));
    let image = seen.image.unwrap();
    assert_eq!(image.digest, index);
    assert_eq!(image.versions, versions("3.3-7", "3.3.1"));
    assert!(asker.has(index).await.unwrap());
}

#[tokio::test]
async fn a_registry_that_wants_a_password_is_given_it() {
    let registry = RealRegistry::locked();
    let image = registry.push("1", LABELS).await;
    let stranger = Asker::new(&registry.host).await;
    assert!(matches!(
        stranger.by_tag("1").await,
        Err(Error::Denied { .. })
    ));
    assert!(matches!(
        stranger.has(image).await,
        Err(Error::Denied { .. })
    ));

    let path = registry.docker_config();
    let known = Asker::with(&registry.host, Some(path.clone()), LONG).await;
    assert_eq!(known.by_tag("1").await.unwrap().tag_digest, Some(image));
    assert!(known.has(image).await.unwrap());

    // A password that is changed counts at once.
    let wrong = std::fs::read_to_string(&path)
        .unwrap()
        .replace(super::real::AUTH, "Y2k6bm8=");
    std::fs::write(&path, wrong).unwrap();
    assert!(matches!(known.by_tag("1").await, Err(Error::Denied { .. })));
}
