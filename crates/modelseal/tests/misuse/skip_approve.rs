// expect: E0599
use modelseal::{Claims, Error, ModelName, Tree, VerifiedModel};
pub fn f(claims: Claims<'_>, name: &ModelName, tree: Tree) -> Result<VerifiedModel, Error> {
    claims.open() // MISUSE
    claims.approve(name, tree)?.open() // TWIN
}
