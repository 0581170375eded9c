//! Claims and approval: may these publishers speak for this name, and is this the signed file set?

use crate::error::{Code, Fault};

/// Placeholder.
#[derive(Debug)]
pub struct Claims {}

/// Placeholder.
#[derive(Debug)]
pub struct Approval {}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ApprovalFault {
    #[error("no rule of the policy matches the model's name")]
    NoRule,
}

impl Fault for ApprovalFault {
    fn code(&self) -> Code {
        match self {
            Self::NoRule => Code::PolicyNoRule,
        }
    }
}
