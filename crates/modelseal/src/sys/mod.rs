//! All `unsafe` of the crate, and the system calls behind it.
#![allow(unsafe_code)]
