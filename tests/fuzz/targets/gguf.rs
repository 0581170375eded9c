//! See `modelseal::fuzzing::gguf`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    modelseal::fuzzing::gguf(bytes);
});
