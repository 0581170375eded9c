// expect: E0599
pub fn f(approval: modelseal::Approval) -> modelseal::Approval {
    approval.clone() // MISUSE
    approval // TWIN
}
