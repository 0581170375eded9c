//! The policy document: closed, typed TOML. An unknown key is an error.
