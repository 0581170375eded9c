//! `modelseal digest`: the digests of a model as it lies there, signed or not.

use std::path::PathBuf;

use clap::Args;
use modelseal::manifest::{Manifest, MeasureOptions, Serialization};
use modelseal::{Algorithm, Tree};

use crate::files::{GitPaths, ModelArguments};
use crate::progress::Bar;
use crate::report::{Failure, say};

/// Print the digests of a model: the one that binds names, and the root digest.
#[derive(Args, Debug)]
pub(crate) struct DigestArguments {
    #[command(flatten)]
    model: ModelArguments,

    /// The model's signature, which is no part of it; `model.sig` inside the model if none is named
    #[arg(long, value_name = "SIGNATURE_PATH")]
    signature: Option<PathBuf>,
}

pub(crate) fn run(arguments: &DigestArguments) -> Result<(), Failure> {
    let model = &arguments.model;
    let bar = Bar::new();
    let mut options = MeasureOptions::new(model.subject(), Serialization::files(Algorithm::Sha256))
        .without_annotations()
        .progress(bar.listener());
    for path in model.ignored()? {
        options = options.ignore_path(path);
    }
    match &arguments.signature {
        Some(path) => {
            if let Some(path) = model.inside(path)? {
                options = options.exclude(path);
            }
        }
        None => options = options.exclude("model.sig"),
    }
    if model.git_paths() == GitPaths::Include {
        options = options.without_git_defaults();
    }
    let manifest = Manifest::measure(&Tree::walk(model.source())?, &options)?;
    drop(bar);
    say(manifest.name_digest())?;
    say(format_args!("root:{}", manifest.root_digest()))
}
