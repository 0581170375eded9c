// expect: E0599
use modelseal::{Approval, Bundle, Error, ModelName, Policy, Tree};
pub fn f(policy: &Policy, bundle: Bundle, name: &ModelName, tree: Tree) -> Result<Approval, Error> {
    bundle.approve(name, tree) // MISUSE
    policy.check([bundle])?.approve(name, tree) // TWIN
}
