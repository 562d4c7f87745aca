//! See the function in the library.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quell_fuzz::imap_ask(bytes));
