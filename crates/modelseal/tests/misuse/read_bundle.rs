// expect: E0616
pub fn f(bundle: modelseal::Bundle) -> usize {
    bundle.payload.len() // MISUSE
    format!("{bundle:?}").len() // TWIN
}
