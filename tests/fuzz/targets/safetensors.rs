//! See `modelseal::fuzzing::safetensors`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    modelseal::fuzzing::safetensors(bytes);
});
