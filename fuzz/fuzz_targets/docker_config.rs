//! libFuzzer's way into [`layerhouse_fuzz::docker_config`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| layerhouse_fuzz::docker_config(data));
