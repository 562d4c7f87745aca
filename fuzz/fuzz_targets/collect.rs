//! See the function in the library.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quell_fuzz::collect(bytes));
