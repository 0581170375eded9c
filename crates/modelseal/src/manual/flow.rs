//! How a load flows, and the types that hold it together.
//!
//! ```text
//!  bundles --parse--> Bundle --check--> Claims --approve--> Approval --open--> VerifiedModel
//!                     (mute: no        (which publishers   (these publishers,  (each file read once,
//!                      accessors)       signed each bundle;  this name, this     hashed, matched; bytes,
//!                                       bound to its         file set, this      tensors, record)
//!                                       policy)              policy)
//!  source --walk----> Tree ---------------------------------^
//!                     (names below a held descriptor, no bytes read)
//! ```
//!
//! One direction. Each arrow is one verb, each box one type that only the box on its left can make, so that
//! forgetting a step does not compile:
//!
//! ```no_run
//! use modelseal::{Bundle, Clock, ModelName, Policy, Source, Tree};
//!
//! let policy = Policy::load("policy.toml", Clock::System)?;
//! let name = ModelName::parse("ibm-granite/granite-4.0-8b")?;
//! let bundle = Bundle::read("/models/granite/model.sig".as_ref())?;
//!
//! let model = policy
//!     .check([bundle])? // who signed?
//!     .approve(&name, Tree::walk("/models/granite")?)? // may they, for this name and file set?
//!     .open()?; // do the bytes match?
//! # Ok::<(), modelseal::Error>(())
//! ```
//!
//! [`crate::verify_and_open`] is this flow in one call; it also finds the bundles.
//!
//! # Where a piece goes
//!
//! * A new digest algorithm: [`crate::Algorithm`] and its hasher in `digest/`.
//! * A new signing method: an arm of `trust::Trust` with a module of its own beside `key`, `certificate`, `keyless`.
//! * A new weight format: [`crate::Format`], its row in `format/classify.rs`, its parser beside `gguf`.
