//! `cargo xtask fuzz prompt`: see `fuzz::TARGETS`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::prompt(data));
