//! Every reason code: number, name, meaning and remedy come from one table.
//!
//! | thousands | stage |
//! |---|---|
//! | 1 | the bundle, read as untrusted bytes |
//! | 2 | the signed statement and its manifest |
//! | 3 | who signed |
//! | 4 | the policy |
//! | 5 | the files |
//! | 6 | the formats |
//! | 7 | the open |
//! | 8 | the ledger |
//! | 9 | signing |
//!
//! ```
//! for code in modelseal::Code::ALL {
//!     println!("{} {}: {} {}", code.number(), code.as_str(), code.sentence(), code.remedy());
//! }
//! ```
//!
//! Numbers and names are never reused. The variants of [`crate::Code`] carry the same sentences.
