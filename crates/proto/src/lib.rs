//! The protobuf API of Reprise in Rust: messages, clients, servers and descriptors, nothing else.
//!
//! ```text
//! authorization::v1   who may do what, tokens and permits
//! registry::v1        Deployments, their deploys and DAG bundles
//! rollback::v1        plans and rollbacks
//! common::v1          what more than one of them speaks of, and every error reason
//! ```
//!
//! All of it is made from the files in `proto` and checked in, so that nobody needs a protobuf
//! compiler. `tests/codegen` says how to make it anew, and fails when it is not current.
//!
//! The modules nest as the protobuf packages do, because generated code refers to another package
//! by that path. Only the `api` and `clients` modules of a service name these types.

/// The package `reprise.authorization`.
pub mod authorization {
    /// The package `reprise.authorization.v1`.
    pub mod v1 {
        include!("generated/reprise.authorization.v1.rs");
    }
}

/// The package `reprise.common`.
pub mod common {
    /// The package `reprise.common.v1`.
    pub mod v1 {
        include!("generated/reprise.common.v1.rs");
    }
}

/// The package `reprise.registry`.
pub mod registry {
    /// The package `reprise.registry.v1`.
    pub mod v1 {
        include!("generated/reprise.registry.v1.rs");
    }
}

/// The package `reprise.rollback`.
pub mod rollback {
    /// The package `reprise.rollback.v1`.
    pub mod v1 {
        include!("generated/reprise.rollback.v1.rs");
    }
}

/// Every protobuf file with its imports, as an encoded `google.protobuf.FileDescriptorSet`: what
/// server reflection serves. Comments and `google.api.field_behavior` are still in it.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");
