//! libFuzzer's way into [`layerhouse_fuzz::accept`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| layerhouse_fuzz::accept(data));
