// expect: E0277
use modelseal::{Error, VerifiedModel};
pub fn f(model: VerifiedModel) -> Result<bool, Error> {
    Ok(std::fs::read_dir(model).is_ok()) // MISUSE
    Ok(std::fs::read_dir(model.directory()?.path()).is_ok()) // TWIN
}
