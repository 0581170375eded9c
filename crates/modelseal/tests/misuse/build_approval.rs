// expect: E0451
pub fn f(policy: modelseal::Policy, other: modelseal::Approval) -> modelseal::Approval {
    modelseal::Approval { policy, ..other } // MISUSE
    other // TWIN
}
