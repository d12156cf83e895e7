//! `cargo xtask fuzz gguf_header`: see `fuzz::TARGETS`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::gguf_header(data));
