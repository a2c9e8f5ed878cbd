//! See `targets::devices::ipp_answer`.
#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code, reason = "each program runs one target")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::devices::ipp_answer(bytes));
