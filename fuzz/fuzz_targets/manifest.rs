//! libFuzzer's way into [`layerhouse_fuzz::manifest`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| layerhouse_fuzz::manifest(data));
