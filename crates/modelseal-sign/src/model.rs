//! A model's tree to a signed bundle.

use modelseal::manifest::MeasureOptions;
use modelseal::{Manifest, Tree};

use crate::error::Error;
use crate::signer::{SignedBundle, Signer};

impl Signer {
    /// Hashes every file of the tree and signs the result. The signature's own place belongs into
    /// [`MeasureOptions::exclude`].
    ///
    /// # Errors
    ///
    /// Those of [`Manifest::measure`], and `sign.key`.
    pub fn sign_model(&self, tree: &Tree, options: &MeasureOptions) -> Result<SignedBundle, Error> {
        self.sign_manifest(&Manifest::measure(tree, options)?)
    }

    /// Signs a manifest that was measured before.
    ///
    /// # Errors
    ///
    /// `sign.key`, if the key cannot make a signature.
    pub fn sign_manifest(&self, manifest: &Manifest) -> Result<SignedBundle, Error> {
        self.sign_statement(&manifest.to_payload())
    }
}
