//! Buckets of the clouds, with the credentials that their own tools take: the environment variables
//! `AWS_…`, `GOOGLE_…` and `AZURE_…`, or what the machine is given by its cloud.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};

use super::url::Cloud;

/// Names and values of environment variables.
pub(crate) type Variables = Vec<(String, String)>;

/// How often, and how long, a request is tried again: callers wait for it, with a deadline of their
/// own.
const MOST_RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn open(
    cloud: Cloud,
    bucket: &str,
    prefix: &Path,
    variables: &Variables,
) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let retry = RetryConfig {
        max_retries: MOST_RETRIES,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    };
    let prefix = prefix.clone();
    Ok(match cloud {
        Cloud::S3 => {
            let builder = AmazonS3Builder::new()
                .with_retry(retry)
                .with_bucket_name(bucket);
            let set = AmazonS3Builder::with_config;
            let store = configured(builder, set, "aws_", variables).build()?;
            Arc::new(PrefixStore::new(store, prefix))
        }
        Cloud::Gcs => {
            let builder = GoogleCloudStorageBuilder::new()
                .with_retry(retry)
                .with_bucket_name(bucket);
            let set = GoogleCloudStorageBuilder::with_config;
            let store = configured(builder, set, "google_", variables).build()?;
            Arc::new(PrefixStore::new(store, prefix))
        }
        Cloud::Azure => {
            let builder = MicrosoftAzureBuilder::new()
                .with_retry(retry)
                .with_container_name(bucket);
            let set = MicrosoftAzureBuilder::with_config;
            let store = configured(builder, set, "azure_", variables).build()?;
            Arc::new(PrefixStore::new(store, prefix))
        }
    })
}

/// Hands on each variable that says something about the store, but for where it is.
fn configured<B, K: FromStr>(
    builder: B,
    set: impl Fn(B, K, String) -> B,
    prefix: &str,
    variables: &Variables,
) -> B {
    let lower = variables
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value));
    let ours = lower.filter(|(name, _)| {
        name.starts_with(prefix) && !name.contains("bucket") && !name.contains("container_name")
    });
    ours.fold(builder, |builder, (name, value)| match name.parse() {
        Ok(key) => set(builder, key, value.clone()),
        Err(_) => builder,
    })
}
