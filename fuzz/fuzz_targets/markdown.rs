//! libFuzzer's way into [`layerhouse_fuzz::markdown`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| layerhouse_fuzz::markdown(data));
