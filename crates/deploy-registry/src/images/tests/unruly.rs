//! Registries that want a token, send their blobs from elsewhere, or answer what cannot be used.

use super::stand_in::{Answer, Asked, StandIn};
use super::*;
use crate::images::manifest::digest;

const CONFIG: &str = r#"{"config": {"Labels": {"io.astronomer.docker.runtime.version": "3.1-9"}}}"#;

fn image() -> String {
    let config = digest(CONFIG.as_bytes());
    format!(r#"{{"schemaVersion": 2, "config": {{"digest": "{config}"}}, "layers": []}}"#)
}

fn ok(body: impl Into<Vec<u8>>) -> Answer {
    (200, Vec::new(), body.into())
}

fn status(status: u16) -> Answer {
    (status, Vec::new(), Vec::new())
}

/// Asks a stand-in that answers by the path that is asked for.
async fn ask(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Result<SeenImage, Error> {
    let server = StandIn::start(move |_, asked| answer(&asked.line)).await;
    Asker::new(&server.host).await.by_tag("1").await
}

#[tokio::test]
async fn a_token_is_fetched_with_the_password_and_shown_to_the_registry_only() {
    let elsewhere = StandIn::start(|_, _| ok(CONFIG)).await;
    let store = elsewhere.host.clone();
    let server = StandIn::start(move |host, asked| {
        let wants = format!(r#"Bearer realm="http://{host}/token",service="reg istry""#);
        if asked.line.starts_with("GET /token?") {
            return ok(r#"{"token": "t0ken", "expires_in": 60}"#);
        }
        if asked.authorization.as_deref() != Some("Bearer t0ken") {
            return (401, vec![("www-authenticate", wants)], Vec::new());
        }
        match asked.line.as_str() {
            "GET /v2/data/etl/manifests/1" => ok(image()),
            line if line.starts_with("GET /v2/data/etl/blobs/") => {
                let location = format!("http://{store}/blob");
                (307, vec![("location", location)], Vec::new())
            }
            _ => status(404),
        }
    })
    .await;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let config = format!(
        r#"{{"auths": {{"{}": {{"username": "ci", "password": "hunter2"}}}}}}"#,
        server.host
    );
    std::fs::write(&path, config).unwrap();
    let mut asker = Asker::with(&server.host, Some(path), LONG).await;
    let settings = Settings {
        docker_config: Some(folder.path().join("config.json")),
        insecure: BTreeSet::from([server.host.clone(), elsewhere.host.clone()]),
        patience: LONG,
        rollback_patience: LONG,
    };
    asker.images = Images::open(settings, Environment::system()).await.unwrap();
    let seen = asker.by_tag("1").await.unwrap();
    assert_eq!(seen.tag_digest, Some(digest(image().as_bytes())));
    assert_eq!(seen.image.unwrap().versions, versions("3.1-9", ""));

    let basic = Some("Basic Y2k6aHVudGVyMg==".to_owned());
    let token = server
        .asked()
        .into_iter()
        .find(|asked| asked.line.starts_with("GET /token"));
    let line = "GET /token?scope=repository%3Adata%2Fetl%3Apull&service=reg+istry".to_owned();
    let expected = Asked {
        line,
        authorization: basic.clone(),
    };
    assert_eq!(token, Some(expected));
    let shown = server.asked();
    let manifests = shown.iter().filter(|asked| asked.line.contains("/v2/"));
    assert!(
        manifests
            .into_iter()
            .all(|asked| asked.authorization != basic)
    );
    let expected = Asked {
        line: "GET /blob".to_owned(),
        authorization: None,
    };
    assert_eq!(elsewhere.asked(), [expected]);
}

#[tokio::test]
async fn nobody_is_asked_in_plain_text_whom_the_operator_did_not_name() {
    let victim = StandIn::start(|_, _| ok("{}")).await;
    let to = format!("http://{}/secret", victim.host);
    let (realm, location) = (format!(r#"Bearer realm="{to}""#), to.clone());
    let wants = move |_: &str| (401, vec![("www-authenticate", realm.clone())], Vec::new());
    assert!(matches!(ask(wants).await, Err(Error::Unusable { .. })));
    let leads = move |line: &str| {
        if line.contains("/manifests/") {
            ok(image())
        } else {
            (302, vec![("location", location.clone())], Vec::new())
        }
    };
    assert!(matches!(ask(leads).await, Err(Error::Unusable { .. })));
    // A manifest comes from the registry itself, or not at all.
    let moved = move |_: &str| (302, vec![("location", to.clone())], Vec::new());
    assert!(matches!(
        ask(moved).await,
        Err(Error::Status { status: 302, .. })
    ));
    assert_eq!(victim.asked(), []);
}

#[tokio::test]
async fn an_answer_that_is_not_what_was_asked_for_is_refused() {
    let unusable = |result: Result<SeenImage, Error>| match result {
        Err(Error::Unusable { host: _, what }) => what,
        other => panic!("{other:?}"),
    };
    let forged = |line: &str| {
        if line.contains("/blobs/") {
            ok("{}")
        } else {
            ok(image())
        }
    };
    assert!(unusable(ask(forged).await).contains("another digest"));
    let large = |_: &str| ok(vec![b' '; 4 * 1024 * 1024 + 1]);
    assert!(unusable(ask(large).await).contains("too large"));
    let endless = |line: &str| {
        if line.contains("/manifests/") {
            ok(image())
        } else {
            let location = "/v2/data/etl/blobs/again".to_owned();
            (307, vec![("location", location)], Vec::new())
        }
    };
    // It is not even asked there: plain text is for the host that was named, which this is.
    assert!(matches!(
        ask(endless).await,
        Err(Error::Status { status: 307, .. })
    ));

    let server = StandIn::start(|_, _| ok(image())).await;
    let asker = Asker::new(&server.host).await;
    let other = asker.by_digest(digest(b"other")).await;
    assert!(unusable(other).contains("another digest"));
}

#[tokio::test]
async fn a_token_that_is_none_is_told_and_breaks_nothing() {
    for body in [r#"{"token": "a\nb"}"#, "no json", r#"{"token": 7}"#] {
        let server = StandIn::start(move |host, asked| {
            if asked.line.starts_with("GET /token") {
                return ok(body);
            }
            let wants = format!(r#"Bearer realm="http://{host}/token""#);
            (401, vec![("www-authenticate", wants)], Vec::new())
        })
        .await;
        let asker = Asker::new(&server.host).await;
        let result = asker.by_tag("1").await;
        assert!(
            matches!(result, Err(Error::Unusable { .. })),
            "{body}: {result:?}"
        );
    }
}

#[tokio::test]
async fn a_registry_that_wants_what_nobody_gave_is_told_apart_from_one_that_is_down() {
    let basic = |_: &str| {
        (
            401,
            vec![("www-authenticate", "Basic".to_owned())],
            Vec::new(),
        )
    };
    assert!(matches!(ask(basic).await, Err(Error::Denied { .. })));
    let nothing = |_: &str| status(401);
    assert!(matches!(ask(nothing).await, Err(Error::Denied { .. })));
    assert!(matches!(
        ask(|_: &str| status(403)).await,
        Err(Error::Denied { .. })
    ));
    for code in [429, 500, 503] {
        let result = ask(move |_: &str| status(code)).await;
        assert!(matches!(result, Err(Error::Status { .. })), "{result:?}");
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let down = Asker::new(&host).await.by_tag("1").await;
    assert!(matches!(down, Err(Error::Unreachable { .. })), "{down:?}");
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_given_up() {
    // Takes the call and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let asker = Asker::with(&host, None, Duration::from_millis(50)).await;
    let slow = asker.by_tag("1").await;
    assert!(matches!(slow, Err(Error::Slow { .. })), "{slow:?}");
    let slow = asker.has(digest(b"1")).await;
    assert!(matches!(slow, Err(Error::Slow { .. })), "{slow:?}");
}

#[tokio::test]
async fn an_image_that_was_seen_is_not_asked_for_again_for_a_while() {
    let server = StandIn::start(|_, _| status(200)).await;
    let asker = Asker::new(&server.host).await;
    let calls = || server.asked().len();
    for (seconds, expected) in [(0, 1), (0, 1), (29, 1), (1, 2), (-10, 3)] {
        asker.seconds.fetch_add(seconds, Ordering::SeqCst);
        assert!(asker.has(digest(b"1")).await.unwrap());
        assert_eq!(calls(), expected);
    }
    assert!(asker.has(digest(b"2")).await.unwrap());
    assert_eq!(calls(), 4);
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let server = StandIn::start(|_, _| status(200)).await;
    let asker = Asker::new(&server.host).await;
    for n in 0..=MOST_REMEMBERED {
        let digest = digest(n.to_string().as_bytes());
        asker.images.remember(&asker.repository, digest);
    }
    assert_eq!(asker.images.0.seen.lock().unwrap().len(), MOST_REMEMBERED);
    asker.seconds.fetch_add(30, Ordering::SeqCst);
    asker.images.remember(&asker.repository, digest(b"next"));
    assert_eq!(asker.images.0.seen.lock().unwrap().len(), 1);
}
