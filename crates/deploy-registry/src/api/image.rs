//! What an image registry has to say about the image of a deploy.

use chassis::fields::Fields;
use chassis::problem::{Problem, chain};
use proto::common::v1::ErrorReason;
use tonic::Code;

use super::errors;
use super::shipment::{AIRFLOW, DIGEST, RUNTIME};
use super::{ImageVerifier, Registry};
use crate::domain::{
    AskedImage, Doubt, FoundImage, Image, ImageVerification, ShippedImage, Unknown, VersionField,
};

/// The image as it is recorded, and whether its registry confirms it; nothing of that if it was not
/// asked. A registry that does not confirm it stops the deploy only where it must, or where nothing
/// else says which image it is.
pub(super) async fn verify(
    registry: &Registry,
    asked: AskedImage,
) -> Result<(ShippedImage, Option<ImageVerification>), Problem> {
    let catalog = &registry.catalog;
    let (images, required) = match &registry.images {
        ImageVerifier::Off => return Ok((shipped(asked.ship(None, catalog))?, None)),
        ImageVerifier::Warn(images) => (images, false),
        ImageVerifier::Require(images) => (images, true),
    };
    let seen = images.look_up(&asked.repository, asked.tag.as_ref(), asked.digest);
    let (doubts, found) = match seen.await {
        Ok(seen) => (asked.doubts(&seen), seen.image),
        Err(error) if required || !is_whole(&asked) => {
            return Err(errors::image_registry(error));
        }
        Err(error) => {
            tracing::warn!(image = %asked, error = chain(&error), "image not verified");
            let doubt = Doubt::Silent(errors::image_registry(error).message().to_owned());
            (vec![doubt], None)
        }
    };
    if doubts.is_empty() {
        let shipped = shipped(asked.ship(found, catalog))?;
        return Ok((shipped, Some(ImageVerification::Verified)));
    }
    if required || !is_known(&asked, found.as_ref()) {
        return Err(refusal(&asked, &doubts));
    }
    let texts = doubts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let unverified = ImageVerification::Unverified(texts.join("; "));
    Ok((shipped(asked.ship(found, catalog))?, Some(unverified)))
}

/// Whether the image is not there any more that a rollback would bring back. A registry that cannot
/// be asked stops a rollback only where it must.
pub(super) async fn is_gone(registry: &Registry, image: &Image) -> Result<bool, Problem> {
    let Image {
        repository,
        tag: _,
        digest,
    } = image;
    let (images, required) = match &registry.images {
        ImageVerifier::Off => return Ok(false),
        ImageVerifier::Warn(images) => (images, false),
        ImageVerifier::Require(images) => (images, true),
    };
    match images.has(repository, *digest).await {
        Ok(there) => Ok(!there),
        Err(error) if required => Err(errors::image_registry(error)),
        Err(error) => {
            let error = chain(&error);
            tracing::warn!(%repository, %digest, error, "rolling back to an image nobody vouches for");
            Ok(false)
        }
    }
}

/// Whether the caller says all that is recorded.
const fn is_whole(asked: &AskedImage) -> bool {
    asked.digest.is_some() && asked.runs_on.is_some()
}

fn is_known(asked: &AskedImage, found: Option<&FoundImage>) -> bool {
    is_whole(asked) || found.is_some()
}

fn shipped(image: Result<ShippedImage, Unknown>) -> Result<ShippedImage, Problem> {
    let field = match image {
        Err(Unknown::Digest) => DIGEST,
        Ok(_) | Err(Unknown::Versions) => RUNTIME,
    };
    let mut fields = Fields::new();
    let image = fields.ok(field, image);
    image.ok_or_else(|| fields.into_problem())
}

/// What is wrong with the request, or that there is no such image.
fn refusal(asked: &AskedImage, doubts: &[Doubt]) -> Problem {
    let mut fields = Fields::new();
    for doubt in doubts {
        let field = match doubt {
            Doubt::TagMissing { tag: _ } | Doubt::TagMoved { tag: _, found: _ } => DIGEST,
            Doubt::Version {
                field: VersionField::Runtime,
                found: _,
            } => RUNTIME,
            Doubt::Version {
                field: VersionField::Airflow,
                found: _,
            } => AIRFLOW,
            Doubt::Missing(_) | Doubt::Silent(_) => return missing(asked),
        };
        fields.violation(field, &doubt.to_string());
    }
    fields.into_problem()
}

fn missing(asked: &AskedImage) -> Problem {
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::ImageMissing,
        format!("the image registry does not have {asked}: push it, then try again"),
    )
    .with("image", asked)
}
