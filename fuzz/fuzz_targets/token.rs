//! libFuzzer's way into [`layerhouse_fuzz::token`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| layerhouse_fuzz::token(data));
