//! See `modelseal::fuzzing::payload`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    modelseal::fuzzing::payload(bytes);
});
