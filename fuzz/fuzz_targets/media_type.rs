//! libFuzzer's way into [`layerhouse_fuzz::media_type`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| layerhouse_fuzz::media_type(data));
