//! The public conformance suite, for tests.

use std::path::PathBuf;

/// The bundles of these groups with their case names; none, and a note, without `MODELSEAL_VECTORS`.
pub(crate) fn bundles(groups: &[&str]) -> Vec<(String, Vec<u8>)> {
    let Some(root) = std::env::var_os("MODELSEAL_VECTORS").map(PathBuf::from) else {
        println!("skipped: MODELSEAL_VECTORS not set");
        return Vec::new();
    };
    let mut found = Vec::new();
    for group in groups {
        for case in std::fs::read_dir(root.join("oms/test-cases/verify").join(group)).unwrap() {
            let case = case.unwrap();
            let bytes = std::fs::read(case.path().join("bundle.sig")).unwrap();
            found.push((case.file_name().into_string().unwrap(), bytes));
        }
    }
    assert!(!found.is_empty());
    found
}
