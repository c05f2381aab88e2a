use super::super::{ImageDigest, ImageRepository, ImageTag, NameError, Sha256Digest};
use super::{SHA256, accepted, refused};

#[test]
fn digests_are_64_lowercase_digits() {
    accepted::<Sha256Digest>(SHA256);
    accepted::<ImageDigest>(&format!("sha256:{SHA256}"));
    for text in [
        "",
        &SHA256[1..],
        &format!("{SHA256}0"),
        &SHA256.to_uppercase(),
        &"é".repeat(32),
    ] {
        assert_eq!(refused::<Sha256Digest>(text), NameError::Sha256);
        assert_eq!(
            refused::<ImageDigest>(&format!("sha256:{text}")),
            NameError::ImageDigest
        );
    }
    assert_eq!(refused::<ImageDigest>(SHA256), NameError::ImageDigest);
    assert_eq!(
        refused::<ImageDigest>(&format!("sha512:{SHA256}")),
        NameError::ImageDigest
    );
}

#[test]
fn an_image_repository_gives_its_registry_and_path() {
    for (text, registry, path) in [
        ("airflow", None, "airflow"),
        ("team/airflow", None, "team/airflow"),
        (
            "quay.io/astronomer/astro-runtime",
            Some("quay.io"),
            "astronomer/astro-runtime",
        ),
        (
            "registry.example.com:5000/team/a",
            Some("registry.example.com:5000"),
            "team/a",
        ),
        ("localhost/a", Some("localhost"), "a"),
        ("registry:5000/a", Some("registry:5000"), "a"),
        ("[2001:db8::1]:5000/a", Some("[2001:db8::1]:5000"), "a"),
        ("[::1]/a", Some("[::1]"), "a"),
        ("Registry.Example.com/a", Some("Registry.Example.com"), "a"),
        ("a__b/c_d/e.f/g---h/0", None, "a__b/c_d/e.f/g---h/0"),
    ] {
        let repository: ImageRepository = accepted(text);
        assert_eq!(repository.registry(), registry, "{text}");
        assert_eq!(repository.path(), path, "{text}");
    }
}

#[test]
fn an_image_repository_is_not_a_whole_reference() {
    let too_long = "a".repeat(256);
    for text in [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "Team/airflow",
        "quay.io/Team/a",
        "a:latest",
        "quay.io/a:latest",
        "quay.io/a@sha256:00",
        "https://quay.io/a",
        "quay.io:/a",
        "quay.io:0/a",
        "quay.io:65536/a",
        "quay.io:+80/a",
        "-quay.io/a",
        "quay-.io/a",
        "quay..io/a",
        "[::1/a",
        "[::1]5000/a",
        "[nonsense]/a",
        "a___b",
        "a..b",
        "a._b",
        "a-",
        "_a",
        "a b",
        "ä",
        &too_long,
    ] {
        assert_eq!(
            refused::<ImageRepository>(text),
            NameError::ImageRepository,
            "{text:?}"
        );
    }
    accepted::<ImageRepository>(&"a".repeat(255));
}

#[test]
fn an_image_tag_follows_the_distribution_specification() {
    let longest = "a".repeat(128);
    for text in ["latest", "3.1-2", "_x", "A.B-c_d", "0", longest.as_str()] {
        assert_eq!(accepted::<ImageTag>(text).as_str(), text);
    }
    for text in ["", ".a", "-a", "a b", "a/b", "a:b", "ä", &"a".repeat(129)] {
        assert_eq!(refused::<ImageTag>(text), NameError::ImageTag, "{text:?}");
    }
}
