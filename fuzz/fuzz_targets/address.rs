//! libFuzzer's way into [`layerhouse_fuzz::address`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| layerhouse_fuzz::address(data));
