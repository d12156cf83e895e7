//! `cargo xtask fuzz long_name`: see `fuzz::TARGETS`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::long_name(data));
