use super::*;

const FAR: DateTime<Utc> = DateTime::<Utc>::MAX_UTC;

fn deployment(id: u128) -> DeploymentUid {
    DeploymentUid::new(uuid::Uuid::from_u128(id))
}

fn object(name: &str) -> BundleObject {
    BundleObject::stored(name)
}

fn size(bytes: usize) -> BundleSize {
    BundleSize::new(bytes.try_into().unwrap()).unwrap()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| u8::try_from(n * 31 % 251).unwrap())
        .collect()
}

async fn write(store: &BundleStore, uid: DeploymentUid, name: &str, bytes: &[u8]) -> BundleUpload {
    let mut upload = store.upload(uid, &object(name)).await.unwrap();
    for chunk in bytes.chunks(300_000) {
        upload.push(chunk).await.unwrap();
    }
    upload
}

async fn names(store: &BundleStore, uid: DeploymentUid) -> Vec<String> {
    let objects = store.objects_before(uid, FAR).await.unwrap();
    let name = |object: BundleObject| object.as_str().to_owned();
    objects.into_iter().map(name).collect()
}

fn folder_store(folder: &tempfile::TempDir) -> BundleStore {
    BundleStore::open(&BundleStoreUrl::folder(folder.path())).unwrap()
}

/// Runs each case on a folder and on an S3-speaking server.
macro_rules! on_both_stores {
    ($($case:ident),+ $(,)?) => {
        mod folder {
            $(#[tokio::test]
            async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                super::$case(super::folder_store(&folder)).await;
            })+
        }

        #[cfg(feature = "test-servers")]
        mod s3 {
            $(#[tokio::test]
            async fn $case() {
                let server = super::server::S3Server::start().await;
                super::$case(server.store("s3://bundles/some/prefix")).await;
                server.assert_no_upload_is_left().await;
            })+
        }
    };
}

on_both_stores!(
    a_bundle_is_seen_when_it_is_whole,
    an_upload_that_is_given_up_leaves_nothing,
    a_bundle_is_removed_by_itself,
    uploads_at_once_are_bounded_and_make_room_when_they_end,
);

async fn a_bundle_is_seen_when_it_is_whole(store: BundleStore) {
    let (uid, other) = (deployment(1), deployment(2));
    for (name, length) in [("small", 1), ("exact", PIECE), ("large", 2 * PIECE + 17)] {
        let bytes = pattern(length);
        let upload = write(&store, uid, name, &bytes).await;
        assert_eq!(upload.received(), u64::try_from(length).unwrap());
        assert!(!store.has(uid, &object(name), size(length)).await.unwrap());
        let missing = store.read(uid, &object(name), 0..1).await.unwrap_err();
        assert!(missing.is_not_found(), "{missing:?}");
        upload.publish().await.unwrap();
        assert!(store.has(uid, &object(name), size(length)).await.unwrap());
        assert!(
            !store
                .has(uid, &object(name), size(length + 1))
                .await
                .unwrap()
        );
        assert!(!store.has(other, &object(name), size(length)).await.unwrap());
        let all = 0..u64::try_from(length).unwrap();
        let read = store.read(uid, &object(name), all).await.unwrap();
        assert!(read == bytes, "{name}");
    }
    assert_eq!(names(&store, uid).await, ["exact", "large", "small"]);
    assert_eq!(names(&store, other).await, [""; 0]);
}

async fn an_upload_that_is_given_up_leaves_nothing(store: BundleStore) {
    let uid = deployment(1);
    for length in [1, PIECE + 1] {
        write(&store, uid, "aborted", &pattern(length))
            .await
            .abort()
            .await;
        drop(write(&store, uid, "dropped", &pattern(length)).await);
    }
    assert_eq!(names(&store, uid).await, [""; 0]);
}

async fn a_bundle_is_removed_by_itself(store: BundleStore) {
    let uid = deployment(1);
    let before = chassis::environment::Environment::system().now() - chrono::TimeDelta::hours(1);
    for name in ["a", "b"] {
        write(&store, uid, name, b"bytes")
            .await
            .publish()
            .await
            .unwrap();
    }
    assert!(store.objects_before(uid, before).await.unwrap().is_empty());
    store.remove(uid, &object("a")).await.unwrap();
    assert_eq!(names(&store, uid).await, ["b"]);
    store.remove(uid, &object("a")).await.unwrap();
    store.remove(deployment(2), &object("b")).await.unwrap();
    assert_eq!(names(&store, uid).await, ["b"]);
}

async fn uploads_at_once_are_bounded_and_make_room_when_they_end(store: BundleStore) {
    let object = object("a");
    let begin = || store.upload(deployment(1), &object);

    let mut uploads = Vec::new();
    for _ in 0..MOST_UPLOADS {
        uploads.push(begin().await.unwrap());
    }
    assert!(matches!(begin().await, Err(Error::Busy)));
    uploads.pop().unwrap().abort().await;
    drop(uploads.pop());
    uploads.push(begin().await.unwrap());
    uploads.push(begin().await.unwrap());
    assert!(matches!(begin().await, Err(Error::Busy)));
}

#[tokio::test]
async fn what_a_killed_upload_left_is_removed_once_it_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder_store(&folder);
    let uid = deployment(1);
    assert_eq!(store.remove_leftovers(uid, FAR).await.unwrap(), 0);
    write(&store, uid, "whole", b"bytes")
        .await
        .publish()
        .await
        .unwrap();
    let killed = write(&store, uid, "killed", &pattern(PIECE + 1)).await;
    std::mem::forget(killed);
    let part = folder.path().join(uid.to_string()).join("killed#1");
    let written = std::fs::metadata(&part).unwrap().modified().unwrap();
    let written = DateTime::<Utc>::from(written);
    assert_eq!(store.remove_leftovers(uid, written).await.unwrap(), 0);
    assert!(part.exists());
    assert_eq!(store.remove_leftovers(uid, FAR).await.unwrap(), 1);
    assert!(!part.exists());
    assert_eq!(names(&store, uid).await, ["whole"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = BundleStore::open(&BundleStoreUrl::folder(file.path())).unwrap_err();
    let path = file.path().display().to_string();
    assert!(error.to_string().contains(&path), "{error}");
}

#[test]
fn buckets_are_opened_with_what_the_environment_says_and_show_no_credentials() {
    // reqwest takes the process's provider of cryptography.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let variables = vec![
        variable("AWS_ACCESS_KEY_ID", "key"),
        variable("AWS_SECRET_ACCESS_KEY", "hunter2"),
        variable("AWS_REGION", "eu-central-1"),
        variable("AWS_BUCKET", "another"),
        variable("GOOGLE_SKIP_SIGNATURE", "true"),
        variable("AZURE_STORAGE_ACCOUNT_NAME", "account"),
        variable("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg=="),
        variable("PATH", "/bin"),
    ];
    for url in [
        "s3://bundles/prefix",
        "gs://bundles/prefix",
        "az://bundles/prefix",
    ] {
        let store = BundleStore::open_with(&url.parse().unwrap(), &variables).unwrap();
        let shown = store.objects.to_string();
        assert!(shown.contains("prefix"), "{shown}");
        assert!(!format!("{store:?} {shown}").contains("hunter2"));
    }
}

#[cfg(feature = "test-servers")]
pub(crate) mod server {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A server that speaks S3, with the bucket `bundles`. Stops when it is dropped.
    pub(crate) struct S3Server {
        address: String,
        http: reqwest::Client,
        child: Child,
    }

    impl S3Server {
        pub(crate) async fn start() -> Self {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let mut child = Command::new("moto_server")
                .args(["--host", "127.0.0.1", "--port", "0"])
                .env("PYTHONUNBUFFERED", "1")
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("moto_server, which tests/run installs");
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
            let address = lines
                .by_ref()
                .map_while(Result::ok)
                .find_map(|line| Some(line.split_once("Running on ")?.1.trim().to_owned()))
                .expect("the server says where it listens");
            // Reads on, so that the server never waits for a reader.
            std::thread::spawn(move || lines.for_each(drop));
            let http = reqwest::Client::new();
            let made = http.put(format!("{address}/bundles")).send().await.unwrap();
            assert_eq!(made.status(), 200);
            Self {
                address,
                http,
                child,
            }
        }

        pub(crate) fn store(&self, url: &str) -> BundleStore {
            let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let variables = vec![
                variable("AWS_ACCESS_KEY_ID", "key"),
                variable("AWS_SECRET_ACCESS_KEY", "secret"),
                variable("AWS_REGION", "us-east-1"),
                variable("AWS_ENDPOINT", &self.address),
                variable("AWS_ALLOW_HTTP", "true"),
            ];
            BundleStore::open_with(&url.parse().unwrap(), &variables).unwrap()
        }

        /// Waits until every upload is completed or aborted.
        pub(super) async fn assert_no_upload_is_left(&self) {
            let none_left = async {
                while self.has_uploads().await {
                    tokio::task::yield_now().await;
                }
            };
            let soon = Duration::from_secs(30);
            tokio::time::timeout(soon, none_left).await.unwrap();
        }

        async fn has_uploads(&self) -> bool {
            let url = format!("{}/bundles?uploads", self.address);
            let answer = self.http.get(url).send().await.unwrap();
            let text = answer.text().await.unwrap();
            assert!(text.contains("ListMultipartUploadsResult"), "{text}");
            text.contains("<UploadId>")
        }
    }

    impl Drop for S3Server {
        fn drop(&mut self) {
            // One that is gone already needs no stopping.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
