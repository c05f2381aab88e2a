//! Calling a service as somebody who has a token.

use anyhow::{Context, Result};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// A connection that calls as one person.
pub(crate) type PersonalChannel = InterceptedService<Channel, Bearer>;

/// Makes all calls of a connection with this token.
pub(crate) fn with_token(channel: Channel, token: &str) -> Result<PersonalChannel> {
    // The error of the conversion would not say more.
    let bearer = MetadataValue::try_from(format!("Bearer {token}")).ok();
    let mut bearer = bearer.context("the token is no token: it has characters that none has")?;
    bearer.set_sensitive(true);
    Ok(InterceptedService::new(channel, Bearer(bearer)))
}

/// Puts a token into every call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}
