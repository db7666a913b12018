//! libFuzzer's way into [`layerhouse_fuzz::reference`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| layerhouse_fuzz::reference(data));
