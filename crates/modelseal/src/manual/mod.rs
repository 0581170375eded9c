//! The book. Read it in order: [`flow`], [`assurance`], [`threats`], [`codes`].

pub mod assurance;
pub mod codes;
pub mod flow;
pub mod threats;
