//! The book: threats, defaults, how-to. Compiled examples only.

pub mod codes;
