// expect: E0382
use modelseal::{Approval, Error, VerifiedModel};
pub fn f(approval: Approval) -> Result<(VerifiedModel, VerifiedModel), Error> {
    let first = approval.open()?;
    let second = approval.open()?; // MISUSE
    let second = first.clone(); // TWIN
    Ok((first, second))
}
