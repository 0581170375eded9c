//! Approval to verified bytes. The only place that builds a [`VerifiedModel`].
