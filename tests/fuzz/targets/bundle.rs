//! See `modelseal::fuzzing::bundle`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    modelseal::fuzzing::bundle(bytes);
});
