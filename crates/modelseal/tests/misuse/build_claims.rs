// expect: E0451
pub fn f<'p>(policy: &'p modelseal::Policy, other: modelseal::Claims<'p>) -> modelseal::Claims<'p> {
    modelseal::Claims { policy, ..other } // MISUSE
    other // TWIN
}
