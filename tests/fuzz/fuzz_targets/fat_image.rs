//! `cargo xtask fuzz fat_image`: see `fuzz::TARGETS`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::fat_image(data));
