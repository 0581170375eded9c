//! See `modelseal::fuzzing::policy`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    modelseal::fuzzing::policy(bytes);
});
