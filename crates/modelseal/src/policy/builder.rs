//! The same content as a policy document, built in Rust.

/// Builds a [`super::Policy`] without a document.
#[derive(Debug)]
pub struct PolicyBuilder {}

/// A publisher of a [`PolicyBuilder`].
#[derive(Debug)]
pub struct Publisher {}

/// A model rule of a [`PolicyBuilder`].
#[derive(Debug)]
pub struct ModelRule {}
