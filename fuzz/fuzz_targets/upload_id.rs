//! libFuzzer's way into [`layerhouse_fuzz::upload_id`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| layerhouse_fuzz::upload_id(data));
