//! The one table of names: which entries of a model directory a loader could pick up.

/// What a loader could make of an unsigned or excluded entry of this name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Loadable {
    /// Known to be inert: recorded, not handed out, need not be readable.
    No,
    /// A loader could pick it up, or nobody knows: a denial unless signed.
    Yes,
}

/// Classifies a path relative to the model's root.
pub(crate) fn loadable(path: &str) -> Loadable {
    let _ = path;
    Loadable::Yes
}
