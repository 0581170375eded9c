// expect: E0451
pub fn f(other: modelseal::VerifiedModel) -> modelseal::VerifiedModel {
    modelseal::VerifiedModel { ..other } // MISUSE
    other // TWIN
}
