//! deploy-registry
