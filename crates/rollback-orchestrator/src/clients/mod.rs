//! The other services, as this one calls them: protobuf on one side, the domain on the other.

pub(crate) mod authorization;
pub(crate) mod failure;
pub(crate) mod registry;
